"""The chip's peripherals, one per file: registers as data, and what happens when they are touched."""
