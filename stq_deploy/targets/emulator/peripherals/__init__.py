"""The chip's peripherals, one per file: registers as data, and the effects of accessing them."""
