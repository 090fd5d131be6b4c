"""Read pickled numpy arrays, lists, dicts, text and bytes, and nothing that could run code.

The official CIFAR archives are Python 2 pickles. A pickle may name any function to call; here only those that
rebuild a plain numpy array are let through, and each is checked.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> Any:
    """numpy's own array rebuilding, for plain arrays only."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("an array of a foreign kind")
    return np.ndarray.__new__(np.ndarray, shape, typecode)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How Python 3 spells bytes in an old pickle protocol."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError("bytes in a foreign encoding")
    return text.encode("latin1")


def _dtype(code: Any, *flags: Any) -> np.dtype[Any]:
    """A dtype of numbers; arrays of objects are refused."""
    dtype: np.dtype[Any] = np.dtype(code, *flags)
    if dtype.kind not in "biuf":
        raise pickle.UnpicklingError(f"an array of {dtype}")
    return dtype


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data has no need of") from None


def loads(data: bytes) -> Any:
    """The object in `data`; Python 2 strings come out as bytes.

    Raises pickle.UnpicklingError for anything unsafe.
    """
    try:
        return _Restricted(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise pickle.UnpicklingError(f"damaged: {error}") from error
