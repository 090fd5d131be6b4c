"""What a format's extractor collects from a file: one text, names, and arrays, all of them plain values.

An extractor is a module with a function `extract(content: bytes) -> Extract`. It runs in the process of its own, and
only there. So it may give a file to a library in C.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stq_deploy.sandbox.limits import (
    MAXIMUM_ARRAY_BYTES,
    MAXIMUM_ARRAYS,
    MAXIMUM_CONFIG_BYTES,
    MAXIMUM_FACT_CHARACTERS,
    Unusable,
)

ARRAY_TYPES = ("<f4", "<f8", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "|b1")
"""NumPy's names for the types of arrays that leave the process."""


class Extractor(Protocol):
    """The shape of a format's extractor module."""

    def extract(self, content: bytes) -> Extract:
        """Read a model file's bytes.

        Raises:
            Unusable: the whole file is. Nothing else is raised, except by a fault of a library.
        """


class Extract:
    """Collects what a file holds: one JSON-able object, and the bytes of its arrays one after the other.

    Attributes:
        header: `config`: text. `facts`: word -> text. `listed`: name -> names in an order that the file states.
            `arrays`: path -> `shape`, `type` (of ARRAY_TYPES) and `at`, the offset in bytes of its values (little
                endian, row-major) in `data`. An array that cannot be used has `problem`, the reason, instead, as it may
                not be needed.
        data: the arrays' bytes, in pieces.
    """

    def __init__(self, config: Any) -> None:
        text = config.decode("utf-8", "replace") if isinstance(config, bytes) else config
        if not isinstance(text, str):
            raise Unusable("its configuration is not a text")
        if len(text) > MAXIMUM_CONFIG_BYTES:
            raise Unusable(f"its configuration is longer than the {MAXIMUM_CONFIG_BYTES} bytes allowed")
        self.header: dict[str, Any] = {"config": text, "facts": {}, "listed": {}, "arrays": {}}
        self.data: list[bytes] = []
        self._size = 0

    def state(self, word: str, value: Any) -> None:
        """State a fact about the file, such as the version of its writer; its text is cut where it is long."""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        self.header["facts"][word] = text[:MAXIMUM_FACT_CHARACTERS]

    def room_for(self, count: int) -> None:
        """Check that one more array of `count` bytes may be taken.

        Raises:
            Unusable: the file has more arrays, or longer ones, than any model file.
        """
        if len(self.header["arrays"]) == MAXIMUM_ARRAYS:
            raise Unusable(f"it has more than the {MAXIMUM_ARRAYS} arrays allowed")
        if self._size + count > MAXIMUM_ARRAY_BYTES:
            raise Unusable(f"its arrays have more than the {MAXIMUM_ARRAY_BYTES} bytes allowed")

    def put(self, path: str, values: npt.NDArray[Any]) -> None:
        """Take an array as `path`.

        Raises:
            Unusable: as `room_for`; or its type is none of ARRAY_TYPES.
        """
        self.room_for(values.nbytes)
        kept = values.astype(values.dtype.newbyteorder("<"), copy=False)
        if kept.dtype.str not in ARRAY_TYPES:
            raise Unusable(f"an array is of the type {kept.dtype.str[:40]}")
        self.header["arrays"][path] = {"shape": kept.shape, "type": kept.dtype.str, "at": self._size}
        self.data.append(np.ascontiguousarray(kept).tobytes())
        self._size += kept.nbytes

    def refuse(self, path: str, problem: str) -> None:
        """Keep the reason why the array `path` cannot be used."""
        self.room_for(0)
        self.header["arrays"][path] = {"problem": problem}
