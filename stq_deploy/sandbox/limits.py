"""The largest size of a readable file, and the error for others."""

from __future__ import annotations

MAXIMUM_FILE_BYTES = 128 << 20
MAXIMUM_CONFIG_BYTES = 8 << 20
MAXIMUM_ARRAY_BYTES = 128 << 20  # of all arrays together
MAXIMUM_ARRAYS = 8192
MAXIMUM_FACT_CHARACTERS = 4096  # of a text about the file, such as its writer's version
MAXIMUM_GROUPS = 4096  # that hold arrays


class Unusable(Exception):
    """The file is damaged, or exceeds any model file. The text states how."""
