"""Reads FlatBuffers with every offset checked: no position outside the file is ever read.

The `flatbuffers` package follows offsets without checks, as its files are trusted. It also reads whole vectors of any
stated length. So the few kinds of values that a model holds are read here instead. A schema names every table by its
path from the root, so no reader follows a cycle. `FlatBuffer.charge` bounds the work. A small file may refer to one
table many times, but what is read is at most a few times the file's size.

The layout is that of https://flatbuffers.dev/internals. A table begins with its distance from its vtable. The vtable
lists the place of each field within the table, or 0 for a field that is absent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from stq_deploy.sandbox.limits import Unusable

_READINGS = 4  # of each byte, at most: several tensors may share a buffer
_ALLOWANCE = 1 << 20
_SHOWN_TEXT = 512

FORMATS = {"int8": "<b", "uint8": "<B", "uint16": "<H", "int32": "<i", "uint32": "<I", "int64": "<q", "float32": "<f"}
"""Kind of a number -> its form in the file."""
_SIZES = {kind: struct.calcsize(form) for kind, form in FORMATS.items()}


@dataclass(eq=False)
class FlatBuffer:
    """A file's content, and how many more bytes may be read of it."""

    content: bytes
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = _READINGS * len(self.content) + _ALLOWANCE

    def charge(self, count: int) -> None:
        """Count `count` bytes as read.

        Raises:
            Unusable: the file refers to its parts more often than any model does.
        """
        self.left -= count
        if self.left < 0:
            raise Unusable("it refers to its own parts more often than any model file does")

    def number(self, at: int, kind: str) -> int | float:
        """The number of this kind at a position.

        Raises:
            Unusable: it is not within the file.
        """
        self.check(at, _SIZES[kind])
        found: int | float = struct.unpack_from(FORMATS[kind], self.content, at)[0]
        return found

    def integer(self, at: int, kind: str) -> int:
        """As `number`, of a kind without fractions."""
        return int(self.number(at, kind))

    def check(self, at: int, count: int) -> None:
        """Check that `count` bytes from `at` on are within the file, and count them as read.

        Raises:
            Unusable: they are not.
        """
        if not 0 <= at <= len(self.content) - count:
            raise Unusable(f"an offset in it points to byte {at}, outside the file")
        self.charge(count)

    def follow(self, at: int) -> int:
        """The position to which the offset at `at` refers."""
        return at + self.integer(at, "uint32")


@dataclass(frozen=True, eq=False)
class FlatTable:
    """A table of fields, each of which may be absent.

    Attributes:
        at: its position.
        places: place of each field within the table, by its slot; 0 where it is absent.
        size: of the table, in bytes.
    """

    buffer: FlatBuffer
    at: int
    places: tuple[int, ...]
    size: int

    @staticmethod
    def root(content: bytes) -> FlatTable:
        """The table that a file begins with."""
        buffer = FlatBuffer(content)
        return FlatTable.found(buffer, buffer.follow(0))

    @staticmethod
    def found(buffer: FlatBuffer, at: int) -> FlatTable:
        """The table at a position.

        Raises:
            Unusable: it, or its vtable, is not within the file.
        """
        vtable = at - buffer.integer(at, "int32")
        length, size = (buffer.integer(vtable + i, "uint16") for i in (0, 2))
        if length < 4 or length % 2 or size < 4:
            raise Unusable(f"the table at byte {at} has an impossible layout")
        buffer.check(vtable, length)
        buffer.check(at, size)
        places = struct.unpack_from(f"<{length // 2 - 2}H", buffer.content, vtable + 4)
        return FlatTable(buffer, at, places, size)

    def _place(self, slot: int, count: int) -> int | None:
        """Position of a field of `count` bytes, or None if it is absent."""
        place = self.places[slot] if slot < len(self.places) else 0
        if place == 0:
            return None
        if place < 4 or place + count > self.size:
            raise Unusable(f"field {slot} of the table at byte {self.at} lies outside it")
        return self.at + place

    def number(self, slot: int, kind: str, default: float = 0) -> int | float:
        """A field that is a number."""
        at = self._place(slot, _SIZES[kind])
        return default if at is None else self.buffer.number(at, kind)

    def integer(self, slot: int, kind: str, default: int = 0) -> int:
        """A field that is a number without a fraction."""
        return int(self.number(slot, kind, default))

    def table(self, slot: int) -> FlatTable | None:
        """A field that is a table."""
        at = self._place(slot, 4)
        return None if at is None else FlatTable.found(self.buffer, self.buffer.follow(at))

    def _vector(self, slot: int, size: int, limit: int) -> tuple[int, int] | None:
        """(position of its first element, their number) of a field that is a vector of elements of `size` bytes."""
        at = self._place(slot, 4)
        if at is None:
            return None
        start = self.buffer.follow(at)
        count = self.buffer.integer(start, "uint32")
        if count > limit:
            raise Unusable(f"a list in it has {count} elements; {limit} are allowed")
        self.buffer.check(start + 4, count * size)
        return start + 4, count

    def tables(self, slot: int, limit: int) -> list[FlatTable]:
        """A field that is a vector of tables, at most `limit`; [] if it is absent."""
        found = self._vector(slot, 4, limit)
        if found is None:
            return []
        start, count = found
        return [FlatTable.found(self.buffer, self.buffer.follow(start + 4 * i)) for i in range(count)]

    def numbers(self, slot: int, kind: str, limit: int) -> list[int | float] | None:
        """A field that is a vector of numbers, at most `limit`."""
        size = _SIZES[kind]
        found = self._vector(slot, size, limit)
        if found is None:
            return None
        start, count = found
        return list(struct.unpack_from(f"<{count}{FORMATS[kind][1]}", self.buffer.content, start))

    def integers(self, slot: int, kind: str, limit: int) -> list[int]:
        """As `numbers`, without fractions; [] if it is absent."""
        return [int(n) for n in self.numbers(slot, kind, limit) or ()]

    def data(self, slot: int, limit: int) -> bytes | None:
        """A field that is a vector of bytes."""
        found = self._vector(slot, 1, limit)
        return None if found is None else self.buffer.content[found[0] : found[0] + found[1]]

    def text(self, slot: int, limit: int = 1 << 16) -> str:
        """A field that is a text, cut where it is very long; "" if it is absent."""
        found = self._vector(slot, 1, limit)
        if found is None:
            return ""
        start, count = found
        return self.buffer.content[start : start + min(count, _SHOWN_TEXT)].decode("utf-8", "replace")
