"""First bytes of Keras's files, and the words that its reader and the process of its own agree on."""

from __future__ import annotations

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NO_MODEL = "the attribute 'model_config' is missing"
WRITER_FACTS = ("keras_version", "backend")
"""Attributes of an .h5 file that state who has written it."""
METADATA = "metadata"
"""The fact that holds the text of a .keras archive's metadata.json."""
