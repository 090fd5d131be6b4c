"""Places each block of buffers in the arena."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stq_deploy.program.buffers import Block

TRIALS = 300
"""Number of placement orders to try if the first ones do not reach the lower bound."""
_SEED = 0


def lower_bound(blocks: Sequence[Block]) -> int:
    """A lower bound in bytes for every placement of these blocks: the most in use during one layer."""
    layers = {buffer.first for block in blocks for buffer in block.buffers}
    return max(sum(block.bytes_in_use(layer) for block in blocks) for layer in layers)


def arena_size(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    """Bytes from the arena's start to its last used byte, aligned."""
    return max(at + block.bytes for block, at in zip(blocks, offsets, strict=True))


def place(blocks: Sequence[Block]) -> tuple[int, ...]:
    """Offset of each block such that no two buffers that are needed together overlap.

    The placement is greedy: each block in turn goes to the lowest place where it fits, so the order matters. Large
    blocks first is best for most networks; long-lived first, and order of appearance, sometimes beat it. If none of
    them reaches the lower bound, a local search exchanges places in the best order. It is deterministic, so equal
    networks give equal plans.
    """
    neighbours = _neighbours(blocks)
    bound = lower_bound(blocks)

    def tried(turn: list[int]) -> tuple[int, list[int], tuple[int, ...]]:
        offsets = _place_in_turn(blocks, neighbours, turn)
        return arena_size(blocks, offsets), turn, offsets

    every = range(len(blocks))
    turns = (
        sorted(every, key=lambda i: (-blocks[i].bytes, i)),
        sorted(every, key=lambda i: (blocks[i].first - blocks[i].last, -blocks[i].bytes, i)),
        sorted(every, key=lambda i: (blocks[i].first, i)),
    )
    best = min((tried(turn) for turn in turns), key=lambda found: found[0])
    dice = random.Random(_SEED)  # noqa: S311 - repeatable, not secret
    for _ in range(TRIALS if len(blocks) > 1 else 0):
        if best[0] == bound:
            break
        turn = list(best[1])
        # Blocks that keep another from a low place were placed before it, so one moves forward.
        late = dice.randrange(1, len(turn))
        turn.insert(dice.randrange(late), turn.pop(late))
        another = tried(turn)
        best = another if another[0] <= best[0] else best  # an equally good one may lead on
    return best[2]


Exclusions = list[list[tuple[int, list[tuple[int, int]]]]]
"""Block -> other block, and the open intervals of distances between their starts that would make them overlap."""


def _neighbours(blocks: Sequence[Block]) -> Exclusions:
    found: Exclusions = [[] for _ in blocks]
    for i, block in enumerate(blocks):
        for j, other in enumerate(blocks[:i]):
            # With `block` at x and `other` at y, a and b overlap if b.start - a.stop < x - y < b.stop - a.start.
            intervals = [
                (b.extent[0] - a.extent[1], b.extent[1] - a.extent[0])
                for a in block.buffers
                for b in other.buffers
                if a.meets(b)
            ]
            if intervals:
                found[i].append((j, intervals))
                found[j].append((i, [(-high, -low) for low, high in intervals]))
    return found


def _place_in_turn(blocks: Sequence[Block], neighbours: Exclusions, turn: Sequence[int]) -> tuple[int, ...]:
    offsets: dict[int, int] = {}
    for i in turn:
        forbidden = sorted(
            (offsets[j] + low, offsets[j] + high)
            for j, intervals in neighbours[i]
            if j in offsets
            for low, high in intervals
        )
        offset = 0
        for low, high in forbidden:
            if low < offset < high:
                offset = high
            elif low >= offset:
                break
        offsets[i] = offset
    return tuple(offsets[i] for i in range(len(blocks)))
