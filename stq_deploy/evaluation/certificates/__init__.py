"""What is decided, not attacked: finite families of pictures, every member run on the integer network."""
