"""Damages .tflite files in every way a fuzz target can think of; equally for equal random states.

`bytes` changes single bytes. `words` gives aligned numbers, most of them offsets and sizes, the values of others or
large ones. `cut` leaves off the end, or repeats a part. `cycle` lets an offset point back, so that a table contains
itself. `joined` takes a part of another file.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_VALUES = (0, 1, 2, 3, 4, 7, 8, 12, 16, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1)

Mutation = Callable[[bytes, random.Random, list[bytes]], bytes]


def mutate(seeds: list[bytes], state: random.Random) -> tuple[str, bytes]:
    """(name of the kind, a mutated file) from one of the seeds."""
    kind = state.choice([*MUTATIONS])
    seed = state.choice(seeds)
    content = MUTATIONS[kind](seed, state, seeds)
    return kind, content


def _bytes(content: bytes, state: random.Random, _seeds: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(state.choice((1, 1, 2, 4, 16))):
        changed[state.randrange(8, len(changed))] = state.randrange(256)
    return bytes(changed)


def _words(content: bytes, state: random.Random, _seeds: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(state.choice((1, 1, 1, 2, 3))):
        at = state.randrange(2, len(changed) // 4) * 4
        own = struct.unpack_from("<I", content, at)[0]
        other = struct.unpack_from("<I", content, state.randrange(len(content) // 4) * 4)[0]
        value = state.choice((state.choice(_VALUES), other, own + state.choice((-8, -4, -1, 1, 4, 8))))
        size = state.choice((1, 2, 4))
        changed[at : at + size] = struct.pack("<I", value % 2**32)[:size]
    return bytes(changed)


def _cut(content: bytes, state: random.Random, _seeds: list[bytes]) -> bytes:
    at = state.randrange(len(content))
    if state.random() < 0.6:
        return content[:at]
    part = content[at : at + state.choice((1, 4, 16, 64))]
    return content[:at] + part * state.choice((1, 2, 100)) + content[at:]


def _cycle(content: bytes, state: random.Random, _seeds: list[bytes]) -> bytes:
    """An offset is unsigned, so it points back only where a reader lets it wrap around."""
    changed = bytearray(content)
    at = state.randrange(2, len(changed) // 4) * 4
    target = state.randrange(0, len(changed) // 4) * 4
    changed[at : at + 4] = struct.pack("<I", (target - at) % 2**32)
    return bytes(changed)


def _joined(content: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    other = state.choice(seeds)
    start = state.randrange(8, min(len(content), len(other)) - 8)
    return content[:start] + other[start : start + state.choice((4, 8, 32, 128, len(other)))] + content[start + 4 :]


MUTATIONS: dict[str, Mutation] = {"bytes": _bytes, "words": _words, "cut": _cut, "cycle": _cycle, "joined": _joined}
"""Kind -> mutation."""
