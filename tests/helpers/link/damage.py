"""Bad lines: seeded damage to a stream of bytes."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

KINDS = ("flip", "drop", "insert", "zero", "duplicate", "cut", "delay")


@dataclass
class Damage:
    """Strikes at `rate` per byte, each time in one of `kinds`.

    flip: one bit; drop: one byte; insert: one random byte; zero: a 0x00 between bytes, so that a frame falls
    in two; duplicate: the last few bytes again; cut: nothing gets through for up to 3 ms, about 300 bytes at
    921600 baud; delay: what follows comes up to 50 ms late.

    Attributes:
        most, within: at most `most` strikes lie in any `within` bytes, if `within` is not 0. So a test can keep to what
            the protocol promises.
        injected: how often each kind struck.
    """

    seed: int
    rate: float
    kinds: tuple[str, ...] = KINDS
    most: int = 1
    within: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._last_gaps: deque[int] = deque(maxlen=self.most - 1)
        self._until_next = self._gap()
        self._cut_until = -1.0

    def apply(self, data: bytes, moment: float) -> tuple[bytes, float]:
        """What arrives of `data`, sent at `moment`, and how many seconds late."""
        out = bytearray()
        late = 0.0
        if moment < self._cut_until:
            return b"", late
        at = 0
        while at < len(data):
            clean = min(self._until_next, len(data) - at)
            out += data[at : at + clean]
            at += clean
            self._until_next -= clean
            if self._until_next or at == len(data):
                continue
            self._until_next = self._gap()
            kind = self._random.choice(self.kinds)
            self.injected[kind] += 1
            if kind == "flip":
                out.append(data[at] ^ (1 << self._random.randrange(8)))
                at += 1
            elif kind == "drop":
                at += 1
            elif kind == "insert":
                out.append(self._random.randrange(256))
            elif kind == "zero":
                out.append(0)
            elif kind == "duplicate":
                out += out[-self._random.randint(1, 40) :]
            elif kind == "cut":
                self._cut_until = moment + self._random.uniform(0, 0.003)
                break
            else:
                late += self._random.uniform(0, 0.05)
        return bytes(out), late

    def _gap(self) -> int:
        """Bytes until the next strike; at least one, so that a rate of 1 still ends."""
        if not self.rate:
            return 1 << 60
        gap = max(1, round(self._random.expovariate(self.rate)))
        if len(self._last_gaps) == self.most - 1:
            gap = max(gap, self.within - sum(self._last_gaps))
        self._last_gaps.append(gap)
        return gap
