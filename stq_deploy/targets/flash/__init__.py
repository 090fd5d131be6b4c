"""Debug probes and their serial ports, and writing a built image to the board through pyocd."""
