"""Reads untrusted JSON: each value is requested by type, and an error names a wrong one by its place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")
LARGEST_COUNT = 1 << 53
"""Largest integer that can be one of our sizes or counts."""


@dataclass(frozen=True)
class Checked:
    """A value within a JSON document.

    Every method raises ValueError, which names the place, if the value is of another type or out of range.

    Attributes:
        value: as `json.loads` gives it.
        place: for messages: "memories[0].bytes"; empty for the document itself.
    """

    value: object
    place: str = ""

    def at(self, key: str) -> Self:
        """A member of an object."""
        members = self._of(dict, "an object")
        if key not in members:
            raise ValueError(f"{self.place or 'the document'} has no {key!r}")
        return type(self)(members[key], f"{self.place}.{key}" if self.place else key)

    def has(self, key: str) -> bool:
        """Whether an object has this member."""
        return key in self._of(dict, "an object")

    def members(self) -> Iterator[tuple[str, Self]]:
        """Name and value of each member of an object."""
        for key in self._of(dict, "an object"):
            yield key, self.at(key)

    def entries(self) -> Iterator[Self]:
        """Each entry of a list."""
        for index, entry in enumerate(self._of(list, "a list")):
            yield type(self)(entry, f"{self.place}[{index}]")

    def text(self) -> str:
        """A text."""
        return self._of(str, "a text")

    def choice(self, *options: T) -> T:
        """One of several texts."""
        for option in options:
            if option == self.text():
                return option
        raise ValueError(
            f"{self.place or 'the document'} is {self.text()[:40]!r}, none of {', '.join(map(str, options))}"
        )

    def count(self, least: int = 0) -> int:
        """A whole number from `least` to LARGEST_COUNT."""
        value = self._of(int, "a whole number")
        if isinstance(value, bool) or not least <= value <= LARGEST_COUNT:
            raise ValueError(f"{self.place or 'the document'} is {value!r}, no whole number from {least} on")
        return value

    def flag(self) -> bool:
        """True or false."""
        return self._of(bool, "true or false")

    def number(self) -> float:
        """A finite number; an int stays one."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{self.place or 'the document'} is {str(value)[:40]!r}, not a finite number")
        return value

    def _of(self, kind: type[T], words: str) -> T:
        if not isinstance(self.value, kind):
            raise ValueError(f"{self.place or 'the document'} is {str(self.value)[:40]!r}, not {words}")
        return self.value
