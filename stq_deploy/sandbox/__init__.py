"""Untrusted model files as plain values, read in a process of its own: `read_contents`."""

from stq_deploy.sandbox.limits import HDF5_MAGIC, MAXIMUM_FILE_BYTES, NO_MODEL, ZIP_MAGIC, Unusable
from stq_deploy.sandbox.process import Contents, read_contents

__all__ = [
    "HDF5_MAGIC",
    "MAXIMUM_FILE_BYTES",
    "NO_MODEL",
    "ZIP_MAGIC",
    "Contents",
    "Unusable",
    "read_contents",
]
