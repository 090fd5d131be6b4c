"""One array out of an untrusted .npz: bounded, and never unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> npt.NDArray[Any]:
    """The array in member `name`; its claimed size is checked against the bytes there before anything is allocated.

    Raises ValueError: larger than `limit` bytes, damaged, or of objects. What zipfile and zlib raise passes through.
    """
    # The directory's sizes are a claim; reading stops at the limit whatever it says.
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{name} is larger than the {limit} bytes allowed")
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"{name} has the unknown .npy version {version}")
    if dtype.hasobject or dtype.kind not in "biufSU":
        raise ValueError(f"{name} holds {dtype}, not numbers or text")
    data = content[stream.tell() :]
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name} is not as long as its shape {shape} says")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
