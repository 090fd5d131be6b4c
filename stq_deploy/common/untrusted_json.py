"""Untrusted JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def parse_json(content: str | bytes, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The value, whose texts can all be written as UTF-8, and whose whole numbers can all be made floats.

    JSON may hold halves of characters ("\\ud800"), and numbers of thousands of digits.

    Args:
        parse_constant: converts NaN and Infinity, by name; None gives the float.

    Raises:
        ValueError: it is not JSON, or holds half a character or too large a number.
        RecursionError: it nests too deeply.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    _check_characters(text)
    value = json.loads(text, parse_constant=parse_constant, parse_int=_whole_number)
    if "\\ud" in text or "\\uD" in text:
        _check_characters(json.dumps(value, ensure_ascii=False))
    return value


def writable(name: str) -> str:
    """A file's name as text that UTF-8 can hold: bytes that are not characters become escapes, such as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _whole_number(text: str) -> int:
    value = int(text)
    if abs(value) > sys.float_info.max:
        raise ValueError(f"it holds a whole number of {len(text.lstrip('-'))} digits")
    return value


def _check_characters(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise ValueError(f"it holds half a character, U+{half:04X}") from error
