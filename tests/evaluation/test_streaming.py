"""Streaming over several boards: every sample once, in its place, whatever fails."""

import dataclasses
import itertools
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.results_file import ResultsFile, RunIdentity
from stq_deploy.evaluation.streaming import stream_missing
from stq_deploy.targets.link.messages import Inference

LEVELS = np.arange(40, dtype=np.int64).reshape(40, 1, 1, 1)
IDENTITY = RunIdentity("b", "m", "i", "s", classes=2)


class FakeBoard:
    """Answers (level, -level), drawing `window` samples ahead; fails after `fails_after` answers."""

    def __init__(self, window: int = 3, seconds: float = 0.0, fails_after: int | None = None) -> None:
        self.window, self.seconds, self.fails_after = window, seconds, fails_after
        self.answered: list[int] = []

    def stream(
        self,
        samples: Iterable[np.ndarray],
        *,
        layer_cycles: bool = False,
        all_outputs: bool = False,
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        source, ahead = iter(samples), deque()
        while True:
            while len(ahead) < self.window and (levels := next(source, None)) is not None:
                ahead.append(int(levels.item()))
            if not ahead:
                return
            if len(self.answered) == self.fails_after:
                raise StqError("the board fell silent")
            time.sleep(self.seconds)
            level = ahead.popleft()
            self.answered.append(level)
            cycles = np.array([7, 8], np.uint32) if layer_cycles else None
            others = (bytes([level]), b"same") if all_outputs else ()
            yield Inference(np.array([level, -level], np.int32), 0, 0, None, cycles, others)


def _results(tmp_path: Path) -> ResultsFile:
    return ResultsFile(tmp_path / "r.jsonl", IDENTITY, len(LEVELS))


@pytest.mark.parametrize("boards", [1, 2, 5])
def test_every_sample_once_and_in_its_place(tmp_path: Path, boards: int) -> None:
    fakes = [FakeBoard(window=1 + i, seconds=0.0005 * i) for i in range(boards)]
    seen: list[int] = []
    with _results(tmp_path) as results:
        assert stream_missing(fakes, LEVELS, results, progress=seen.append) == 40
        assert results.logits(40).tolist() == [[i, -i] for i in range(40)]
    assert sorted(itertools.chain.from_iterable(fake.answered for fake in fakes)) == list(range(40))
    assert seen == list(range(1, 41))


def test_only_what_is_missing_is_run(tmp_path: Path) -> None:
    with _results(tmp_path) as results:
        stream_missing([FakeBoard()], LEVELS[:10], results)
    with _results(tmp_path) as results:
        board = FakeBoard()
        assert stream_missing([board], LEVELS[:15], results, layer_cycles=True) == 5
        assert board.answered == [10, 11, 12, 13, 14]
        assert results.results[12].cycles == (7, 8)
        assert stream_missing([board], LEVELS[:15], results) == 0


def test_a_failing_board_loses_nothing_that_arrived(tmp_path: Path) -> None:
    failing, healthy = FakeBoard(fails_after=4), FakeBoard(seconds=0.002)
    with _results(tmp_path) as results, pytest.raises(StqError, match="fell silent"):
        stream_missing([failing, healthy], LEVELS, results)
    with _results(tmp_path) as results:
        kept = sorted(results.results)
        assert kept == sorted(failing.answered + healthy.answered)
        assert 4 <= len(kept) < 40
        stream_missing([FakeBoard()], LEVELS, results)
        assert results.logits(40).tolist() == [[i, -i] for i in range(40)]


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with _results(tmp_path) as results, pytest.raises(StqError):
        stream_missing([FakeBoard(fails_after=0), FakeBoard()], LEVELS, results)
    assert threading.active_count() == before


def test_crcs_of_further_outputs_are_kept(tmp_path: Path) -> None:
    identity = dataclasses.replace(IDENTITY, outputs=3)
    expected = [[zlib.crc32(bytes([i])), zlib.crc32(b"same")] for i in range(6)]
    for done in (4, 6):  # the second run resumes
        with ResultsFile(tmp_path / "r.jsonl", identity, len(LEVELS)) as results:
            stream_missing([FakeBoard()], LEVELS[:done], results, all_outputs=True)
            assert results.others(done).tolist() == expected[:done]
