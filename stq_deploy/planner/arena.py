"""Where each buffer lies in the arena."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stq_deploy.planner.lifetimes import Buffer

ALIGNMENT = 8
"""Bytes. The kernels ask for 4; 8 is the width of the Cortex-M7's AXI bus and of a DTCM bank pair."""


def aligned(size: int) -> int:
    """`size` rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes that no placement can go below: the most that is live during one layer."""
    return max(
        sum(aligned(b.bytes) for b in buffers if b.first <= layer <= b.last) for layer in {b.first for b in buffers}
    )


def place(buffers: Sequence[Buffer]) -> tuple[int, ...]:
    """Offset of each buffer such that no two that meet overlap.

    Greedy: in turn, each buffer goes to the lowest gap that holds it. Large buffers first is the rule that
    does best on most networks; long-lived first and in order of appearance now and then beat it, so the best
    of three counts.
    """
    orders: tuple[Callable[[int], tuple[int, int]], ...] = (
        lambda i: (-buffers[i].bytes, i),
        lambda i: (buffers[i].first - buffers[i].last, i),
        lambda i: (buffers[i].first, i),
    )
    placements = [_place_in_order(buffers, sorted(range(len(buffers)), key=order)) for order in orders]
    return min(placements, key=lambda offsets: arena_size(buffers, offsets))


def arena_size(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Bytes from the arena's start to its last used byte, aligned."""
    return max(offset + aligned(b.bytes) for b, offset in zip(buffers, offsets, strict=True))


def _place_in_order(buffers: Sequence[Buffer], order: Sequence[int]) -> tuple[int, ...]:
    offsets: dict[int, int] = {}
    for i in order:
        taken = sorted(
            (offsets[j], offsets[j] + aligned(buffers[j].bytes)) for j in offsets if buffers[j].meets(buffers[i])
        )
        offset = 0
        for start, end in taken:
            if offset + aligned(buffers[i].bytes) <= start:
                break
            offset = max(offset, end)
        offsets[i] = offset
    return tuple(offsets[i] for i in range(len(buffers)))
