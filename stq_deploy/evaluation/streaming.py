"""Samples over one or several links at once, every result recorded as it arrives."""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.results_file import Result
from stq_deploy.targets.link.messages import Inference

Levels = npt.NDArray[np.integer[Any]]


class Streamer(Protocol):
    """The interface needed of a board: `LinkExecutor.stream`."""

    def stream(
        self,
        samples: Iterable[Levels],
        *,
        layer_cycles: bool = False,
        all_outputs: bool = False,
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        """Each sample's result, in order; samples (*input shape) are drawn a few ahead, each before its counter."""
        ...


class Recorder(Protocol):
    """Where results go: `ResultsFile`."""

    def missing(self, limit: int) -> list[int]:
        """Indices of the first `limit` samples without a result yet, ascending."""
        ...

    def append(self, index: int, result: Result) -> None:
        """Record one sample's result."""
        ...


def stream_missing(
    boards: Sequence[Streamer],
    levels: Levels,
    results: Recorder,
    *,
    layer_cycles: bool = False,
    all_outputs: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Run every sample of `levels` (N, *input shape) that has no result yet; returns how many were run.

    The boards take samples from one queue, so a slow one delays nobody. When one fails, the others finish
    what they have begun, and the failure is raised; what was recorded stays.

    Args:
        layer_cycles: ask for the cycles of every layer, and record them.
        all_outputs: fetch every output, and record the CRCs of those after the first.
        progress: called with the number of results after each one.

    Raises:
        StqError: a board or the disk fails.
    """
    source = iter(results.missing(len(levels)))
    lock = threading.Lock()
    stopping = threading.Event()
    done = 0

    def feed(drawn: deque[int]) -> Iterator[Levels]:
        while not stopping.is_set():
            with lock:
                index = next(source, None)
            if index is None:
                return
            drawn.append(index)
            yield levels[index]

    def work(board: Streamer) -> None:
        nonlocal done
        drawn: deque[int] = deque()  # answers come in the order of the questions
        counters = iter(lambda: drawn[-1], None)  # of fresh noise: the index of the sample that was drawn last
        for inference in board.stream(
            feed(drawn), layer_cycles=layer_cycles, all_outputs=all_outputs, counters=counters
        ):
            cycles = inference.layer_cycles
            result = Result(
                tuple(int(v) for v in inference.logits),
                None if cycles is None else tuple(int(v) for v in cycles),
                others=tuple(zlib.crc32(content) for content in inference.others),
            )
            with lock:
                results.append(drawn.popleft(), result)
                done += 1
                progress(done)

    with ThreadPoolExecutor(max(1, len(boards))) as pool:
        futures = [pool.submit(work, board) for board in boards]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stopping.set()  # a failure or Ctrl-C: let the others run dry
    for future in futures:
        future.result()
    return done
