"""A board, the line to it, and the time both take, in memory; the board runs the server's C code."""

from __future__ import annotations

import ctypes
import heapq
import itertools
import random
from pathlib import Path

import numpy as np

from tests.helpers.link.c_boards import load_private
from tests.helpers.link.damage import Damage

_PIECE = 64  # bytes that arrive together: often a fraction of a frame, sometimes the end of one and more
CLEAN = 0.0


class SimulatedBoard:
    """A `Transport` to a board that runs the stub network. Its clock moves only in `read`.

    Args:
        library: `c/memory_board.c`, compiled.
        to_board, to_host: what the line does to each direction.
        baud: bits per second, ten to a byte.
        inference_seconds: what a run of the network takes.
        resets_after: the board resets itself when that many inferences have run since its start.
    """

    name = "simulated"

    def __init__(
        self,
        library: Path,
        *,
        to_board: Damage | None = None,
        to_host: Damage | None = None,
        baud: int = 921_600,
        inference_seconds: float = 0.02,
        resets_after: tuple[int, ...] = (),
    ) -> None:
        self.library = load_private(library)
        self.to_board = to_board or Damage(0, CLEAN)
        self.to_host = to_host or Damage(0, CLEAN)
        self.bytes_to_board = self.bytes_to_host = 0
        self.closed = False
        self._seconds_per_byte = 10 / baud
        self._inference_seconds = inference_seconds
        self._resets_after = list(resets_after)
        self._now = 0.0
        self._arrivals: list[tuple[float, int, bytes]] = []  # at the board
        self._order = itertools.count()
        self._line_free_to_board = self._line_free_to_host = self._busy_until = 0.0
        self._waiting = 0  # bytes in the board's ring, at the last step
        self._for_host: list[tuple[float, bytes]] = []
        self._buffer = (ctypes.c_uint8 * (1 << 20))()
        self.library.board_boot(1, random.Random(0).getrandbits(32))
        self._collect(0.0)

    @property
    def runs(self) -> int:
        """Inferences the stub network has run to the end, whatever the server says."""
        return int((ctypes.c_uint32 * 3).in_dll(self.library, "stub_counts")[2])

    def _inferences(self) -> int:
        """The server's own count, first of its counters."""
        return ctypes.c_uint32.in_dll(self.library, "stq_link_counters").value

    def now(self) -> float:
        return self._now

    def close(self) -> None:
        self.closed = True

    def write(self, data: bytes) -> None:
        self.bytes_to_board += len(data)
        start = max(self._now, self._line_free_to_board)
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            start += len(piece) * self._seconds_per_byte
            arrived, late = self.to_board.apply(piece, start)
            start += late
            heapq.heappush(self._arrivals, (start, next(self._order), arrived))
        self._line_free_to_board = start

    def read(self, timeout: float) -> bytes:
        deadline = self._now + timeout
        while True:
            upcoming = [self._for_host[0][0]] if self._for_host else []
            if self._arrivals:
                upcoming.append(self._arrivals[0][0])
            if self._waiting:
                upcoming.append(self._busy_until)
            moment = max(self._now, min(upcoming, default=deadline))
            if moment >= deadline:
                self._now = deadline
            else:
                self._now = moment
                self._let_board_work()
            data = b""
            while self._for_host and self._for_host[0][0] <= self._now:
                data += self._for_host.pop(0)[1]
            if data or self._now >= deadline:
                return data

    def _let_board_work(self) -> None:
        while self._arrivals and self._arrivals[0][0] <= self._now:
            piece = heapq.heappop(self._arrivals)[2]
            self.library.board_receive(piece, len(piece))
            self._waiting = max(1, self._waiting)
        if not self._waiting or self._busy_until > self._now:
            return
        before = self._inferences()
        self._waiting = self.library.board_step()
        # A step may end in a reset, which clears the count.
        self._busy_until = self._now + max(0, self._inferences() - before) * self._inference_seconds
        self._collect(self._busy_until)
        if self._resets_after and self._resets_after[0] <= self.runs:
            self._resets_after.pop(0)
            self.library.board_boot(4, 0)
            self._waiting = 0
            self._collect(self._busy_until)

    def _collect(self, moment: float) -> None:
        """Put what the board has sent on the line to the host."""
        count = self.library.board_take_sent(self._buffer)
        sent = bytes(self._buffer[:count])
        self.bytes_to_host += count
        start = max(moment, self._line_free_to_host)
        arrived, late = self.to_host.apply(sent, start)
        self._line_free_to_host = start + count * self._seconds_per_byte + late
        if arrived:
            self._for_host.append((self._line_free_to_host, arrived))


def expected_logits(levels: np.ndarray) -> np.ndarray:
    """int32 (10,): the stub network in NumPy, for int8 or int16 levels (n,)."""
    i, sums = np.arange(len(levels)), expected_sums(levels)
    return np.array([(sums * ((i * (k + 7)) % 31 - 15)).sum() for k in range(10)], np.int32)


def expected_sums(levels: np.ndarray) -> np.ndarray:
    """int64 (n,): the stub network's second output; the board stores it in twice as many bits as levels have."""
    x = levels.astype(np.int64)
    shifted = (np.trunc(x / 2).astype(np.int64) + np.arange(len(x)) % 3).astype(levels.dtype).astype(np.int64)
    sums: np.ndarray = shifted * 3 - np.roll(shifted, -1)
    return sums


def random_samples(count: int, size: int = 1024, seed: int = 0) -> np.ndarray:
    """int8 (count, size), within the stub network's range."""
    return np.random.default_rng(seed).integers(-128, 127, (count, size), dtype=np.int8)


def random_wide_samples(count: int, size: int, seed: int = 0) -> np.ndarray:
    """int16 (count, size), within the range of the stub network of wide levels."""
    return np.random.default_rng(seed).integers(-30000, 30001, (count, size), dtype=np.int16)
