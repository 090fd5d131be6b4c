"""First bytes and largest size of a readable file, and the error for others."""

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
    """The file is damaged, or exceeds any model file. The text states how."""
