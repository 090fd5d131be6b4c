"""Keras's .h5 and .keras files."""
