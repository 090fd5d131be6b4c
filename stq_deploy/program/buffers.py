"""Pieces of memory, and when they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ALIGNMENT = 8
"""Bytes. The kernels ask for 4; 8 is the width of the Cortex-M7's AXI bus and of a DTCM bank pair."""


def aligned(size: int) -> int:
    """`size` rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def covered_bytes(extents: Iterable[tuple[int, int]]) -> int:
    """Bytes in at least one of several extents (start, end)."""
    covered = last = 0
    for start, end in sorted(extents):
        covered += max(0, end - max(start, last))
        last = max(last, end)
    return covered


@dataclass(frozen=True)
class Buffer:
    """The memory of one stored tensor.

    Attributes:
        tensor: its name.
        offset: from the beginning of its block.
        bytes: its size.
        first, last: the layers during which it must stay intact, both included. -1 is before the first layer,
            when the input is put in place; the number of layers is after the last one, when outputs are read.
    """

    tensor: str
    offset: int
    bytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.bytes

    @property
    def extent(self) -> tuple[int, int]:
        """The bytes of its block that it keeps from other blocks: whole units of the alignment."""
        return self.offset // ALIGNMENT * ALIGNMENT, aligned(self.end)

    def meets(self, other: Buffer) -> bool:
        """Whether both are needed during some layer, so that they cannot share memory."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Block:
    """Buffers that are placed as one, because their places relative to each other are fixed.

    Most blocks are one buffer. Buffers of a concatenation are adjacent. A buffer that a layer writes in place of its
    input begins where the input does.
    """

    buffers: tuple[Buffer, ...]

    @property
    def bytes(self) -> int:
        """From its beginning to the end of the last buffer, aligned."""
        return max(buffer.extent[1] for buffer in self.buffers)

    @property
    def first(self) -> int:
        """The first layer during which any of it must stay intact."""
        return min(buffer.first for buffer in self.buffers)

    @property
    def last(self) -> int:
        """The last such layer."""
        return max(buffer.last for buffer in self.buffers)

    def bytes_in_use(self, layer: int) -> int:
        """Bytes that must stay intact during a layer, in whole units of the alignment."""
        return covered_bytes(b.extent for b in self.buffers if b.first <= layer <= b.last)
