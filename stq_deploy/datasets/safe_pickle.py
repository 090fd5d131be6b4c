"""Reads pickled numpy arrays, lists, dicts, text and bytes, and nothing that could run code.

The official CIFAR archives are Python 2 pickles. A pickle may name any function to call. Here only functions that
rebuild a plain numpy array are allowed, and each call is checked. The pickle never calls numpy itself: it calls
stand-ins, which accept only the parts of an array of numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from typing import Any

import numpy as np

_CODE = re.compile(r"[biuf](1|2|4|8)")
_ORDERS = ("<", ">", "|", "=")
_PLAIN = (None, None, None, -1, -1, 0)
"""The state of a dtype without fields, after its version and byte order."""
_ARRAY_CLASS = object()
"""Stand-in for numpy.ndarray; it can be named but not called."""


class _Type:
    """A dtype of numbers while it is read."""

    def __init__(self, code: Any, *flags: Any) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _CODE.fullmatch(text) or any(flag not in (0, 1) for flag in flags):
            raise pickle.UnpicklingError(f"an array of {str(text)[:20]}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order: Any = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in _ORDERS or tuple(state[2:8]) != _PLAIN or len(state) > 8:
            raise pickle.UnpicklingError("a type of numbers with more to it")
        self.dtype = self.dtype.newbyteorder(order)


class _PickledArray(np.ndarray[Any, Any]):
    """An array while it is read."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, by_columns, data = state
        sizes = tuple(int(n) for n in shape)
        whole = all(type(n) is int and n >= 0 for n in shape)
        if version != 1 or not whole or not isinstance(kind, _Type) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array whose parts are none of an array of numbers")
        if math.prod(sizes) * kind.dtype.itemsize != len(data):
            raise pickle.UnpicklingError("an array that is not as long as its shape says")
        state = (1, sizes, kind.dtype, bool(by_columns), data)
        super().__setstate__(state)


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> _PickledArray:
    """An empty array, as numpy starts one; its state follows."""
    if kind is not _ARRAY_CLASS or shape != (0,) or typecode not in (b"b", "b"):
        raise pickle.UnpicklingError("an array of a foreign kind")
    return np.ndarray.__new__(_PickledArray, (0,), np.int8)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Python 3's form of bytes in an old pickle protocol."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError("bytes in a foreign encoding")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data has no need of") from None


def loads(data: bytes) -> Any:
    """The object in `data`; Python 2 strings come out as bytes, arrays as plain numpy arrays of numbers.

    Raises pickle.UnpicklingError for anything unsafe.
    """
    try:
        return _plain(_Restricted(io.BytesIO(data), encoding="bytes").load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise pickle.UnpicklingError(f"damaged: {error}") from error


def _plain(value: Any) -> Any:
    """The value without stand-ins; lists and dicts are new ones."""
    if isinstance(value, _PickledArray):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    raise pickle.UnpicklingError(f"it holds {type(value).__name__}, which is not data")
