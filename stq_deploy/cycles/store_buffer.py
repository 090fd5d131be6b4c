"""The Cortex-M7's store buffer, as jnk0le measured it: four stores wait; parts of words are merged into memory slowly.

The source says that "unaligned stores execute without any stalls until store buffer clogs up (5 consecutive stores)".
Each then takes 4 cycles. A byte or halfword store "every cycle" takes 4 cycles to one bank, 2 to alternating
banks, and 2.4 for bytes one after the other.
"""

from __future__ import annotations

import math

_WAITING = 4
_WORD, _PART, _PART_ALTERNATING, _BYTES_IN_A_ROW = 1.0, 4.0, 2.0, 2.4


class StoreBuffer:
    """Stores on their way to memory."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._last_part = -1

    def store(self, cycle: int, size: int, count: int, addresses: tuple[int, ...]) -> int:
        """Take the stores of an instruction that issues in `cycle`, and return its wait for a free entry in cycles.

        Two words of one instruction, one for each bank, take one entry.
        """
        waited = 0
        for index in range(0, count, 2):
            at = cycle + waited + index // 2
            self._ends = [end for end in self._ends if end > at]
            if len(self._ends) >= _WAITING:
                more = math.ceil(self._ends[-_WAITING]) - at
                waited, at = waited + more, at + more
            address = addresses[index] if index < len(addresses) else None
            self._ends.append(max([float(at), *self._ends[-1:]]) + self._service(size, address))
        return waited

    def _service(self, size: int, address: int | None) -> float:
        """Cycles between this store and the next at the memory."""
        if size == 4 and (address is None or address % 4 == 0):
            self._last_part = -1
            return _WORD
        if address is None:
            return _BYTES_IN_A_ROW
        before, self._last_part = self._last_part, address
        if address % size:
            return _PART
        if before >= 0 and address == before + size:
            return _BYTES_IN_A_ROW if size == 1 else _PART_ALTERNATING
        if before >= 0 and (address ^ before) & 4:
            return _PART_ALTERNATING
        return _PART
