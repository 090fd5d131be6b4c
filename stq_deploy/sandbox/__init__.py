"""Untrusted model files as plain values, read in a process of its own: `read_contents`."""

from stq_deploy.sandbox.limits import MAXIMUM_FILE_BYTES, Unusable
from stq_deploy.sandbox.process import Contents, read_contents

__all__ = ["MAXIMUM_FILE_BYTES", "Contents", "Unusable", "read_contents"]
