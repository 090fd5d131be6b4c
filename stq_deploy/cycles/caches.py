"""A cache of one level: which of the accesses in a trace miss it."""

from __future__ import annotations

from stq_deploy.targets.boards import Cache


class SimulatedCache:
    """A set-associative cache that starts empty and drops the line used longest ago.

    The replacement of the Cortex-M7 is not known to us. A loop over a little more than the cache misses more with this
    one than with a random one, so the estimate is then too high.

    Attributes:
        line_bytes: bytes of a line.
    """

    def __init__(self, shape: Cache) -> None:
        self.line_bytes = shape.line_bytes
        self._ways = shape.ways
        self._count = shape.bytes // (shape.ways * shape.line_bytes)
        # Line numbers by set, the one used longest ago first.
        self._sets: list[dict[int, None]] = [{} for _ in range(self._count)]

    def access(self, address: int) -> bool:
        """Use the line of an address; whether it was absent."""
        line = address // self.line_bytes
        lines = self._sets[line % self._count]
        if line in lines:
            del lines[line]
            lines[line] = None
            return False
        if len(lines) >= self._ways:
            del lines[next(iter(lines))]
        lines[line] = None
        return True
