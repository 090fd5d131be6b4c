"""What a file must begin with and how large it may be to be read, and the error if it cannot be."""

from __future__ import annotations

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NO_MODEL = "the attribute 'model_config' is missing"
MAXIMUM_FILE_BYTES = 128 << 20
MAXIMUM_CONFIG_BYTES = 8 << 20
MAXIMUM_ARRAY_BYTES = 128 << 20  # of all arrays together
MAXIMUM_ARRAYS = 8192
MAXIMUM_GROUPS = 4096  # that hold arrays


class Unusable(Exception):
    """The file is damaged, or more than a model file ever is. The text says how."""
