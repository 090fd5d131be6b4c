"""A cache of one level, which finds the accesses of a trace that miss it."""

from __future__ import annotations

from stq_deploy.targets.boards import Cache


class SimulatedCache:
    """A set-associative cache that starts empty and drops the line used longest ago.

    We do not know the replacement policy of the Cortex-M7. A loop over slightly more than the cache misses more often
    with this policy than with a random one, so the estimate is then too high.

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
        """Use the line of an address, and return whether it was absent."""
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
