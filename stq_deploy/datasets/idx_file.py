"""IDX files (Y. LeCun's, of MNIST): bytes in any number of dimensions, plain or in gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError

MAXIMUM_BYTES = 1 << 30
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file: two zero bytes, type 8 (bytes), the number of dimensions, each dimension as big-endian
    uint32, then the values.

    Raises StqError: unreadable, truncated, of another type or length than its shape, or larger than `MAXIMUM_BYTES`.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        # Reading stops at the limit, because a small file may unpack to any size.
        with gzip.open(path) if packed else path.open("rb") as stream:
            content = stream.read(MAXIMUM_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StqError(
            "cannot read the file",
            where=str(path),
            cause=f"it is truncated or damaged ({error})",
            next="fetch it again",
        ) from error
    if len(content) > MAXIMUM_BYTES:
        raise StqError(f"the file unpacks to more than {MAXIMUM_BYTES} bytes", where=str(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTES:
        raise StqError("this is not an IDX file of bytes", where=str(path), cause="it is another file under that name")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise StqError("the file ends within its header", where=str(path), next="fetch it again")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        raise StqError(
            f"the file holds {len(content) - start} values, but its shape is {shape}",
            where=str(path),
            cause="it is truncated or damaged",
            next="fetch it again",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
