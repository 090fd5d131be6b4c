"""Decides instead of attacking: runs every member of finite families of pictures on the integer network."""
