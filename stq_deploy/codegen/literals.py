"""Numbers and arrays as C."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.tensor import STORAGE_RANGE

LINE_LENGTH = 110
C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint32": "uint32_t"}
_INT32_MIN, _INT32_MAX = STORAGE_RANGE["int32"]


def int32(value: int) -> str:
    """A C constant of type int32_t.

    Raises:
        OverflowError: it does not fit; an earlier check should have refused it.
    """
    if not _INT32_MIN <= value <= _INT32_MAX:
        raise OverflowError(f"{value} does not fit int32")
    # In C, -2147483648 is minus a constant that does not fit an int.
    return "INT32_MIN" if value == _INT32_MIN else str(int(value))


def int64(value: int) -> str:
    """A C constant that int64_t holds.

    Raises:
        OverflowError: it does not fit.
    """
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit int64")
    # As with INT32_MIN. C99 gives a decimal constant the first type that holds it; long long always does.
    return "INT64_MIN" if value == -(1 << 63) else str(int(value))


def uint32(value: int) -> str:
    """A C constant of type uint32_t.

    Raises:
        OverflowError: it does not fit.
    """
    if not 0 <= value < 1 << 32:
        raise OverflowError(f"{value} does not fit uint32")
    return f"{int(value)}u"


def real(value: float) -> str:
    """A floating constant of exactly this value: of type float where that holds it, else double."""
    with np.errstate(over="ignore"):
        is_float = float(np.float32(value)) == value
    return f"{float(value)!r}f" if is_float else repr(float(value))


def initializers(array: npt.NDArray[np.integer[Any]], indent: int = 4) -> str:
    """The elements of an array as lines of C constants; each row of a 2-D array starts a line.

    uint32 arrays (packed words) are written in hexadecimal, signed ones in decimal.
    """
    write = {"uint32": _word, "int64": int64}.get(array.dtype.name, int32)
    rows = array.reshape(-1, array.shape[-1]).tolist()
    return "\n".join(wrap(map(write, row), indent) for row in rows)


def call(function: str, arguments: Sequence[str], indent: int = 4, *, before: str = "return ") -> str:
    """`return function(arguments);`, broken into lines if it is long.

    Args:
        before: text in front of the call, such as `return ` or an assignment.
    """
    start, end = f"{' ' * indent}{before}{function}(", ");"
    on_one_line = start + ", ".join(arguments) + end
    if len(on_one_line) <= LINE_LENGTH:
        return on_one_line
    return f"{start}\n{wrap(arguments, indent + 4).removesuffix(',')}{end}"


def wrap(items: Iterable[str], indent: int = 4) -> str:
    """Items, each followed by a comma, on indented lines of at most `LINE_LENGTH` characters."""
    lines: list[str] = []
    line = ""
    for item in items:
        if line and indent + len(line) + len(item) + 2 > LINE_LENGTH:
            lines.append(" " * indent + line)
            line = ""
        line += f" {item}," if line else f"{item},"
    return "\n".join([*lines, " " * indent + line])


def _word(value: int) -> str:
    return f"0x{value:08x}u"


def shape(sizes: Sequence[int]) -> str:
    """`32x32x16`."""
    return "x".join(str(n) for n in sizes)
