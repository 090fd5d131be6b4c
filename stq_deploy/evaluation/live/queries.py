"""Queries to boards: a batch in flight on all of them, every answer kept in a file, so that an attack can go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.live.oracle import Levels
from stq_deploy.evaluation.results_file import Result, ResultsFile
from stq_deploy.evaluation.streaming import Streamer, stream_missing

MOST_QUERIES = 100_000_000
"""Largest number of queries of one attack: more than any attack that ends."""


class BoardRun:
    """Runs an attack's queries on boards. A query that the file has an answer to is not asked again.

    Queries are numbered as they come. The seed and the answers decide an attack, so a repeated one asks the same
    queries up to the end of the file.

    Args:
        boards: all of one firmware.
        results: of this attack; its samples are the attack's queries.
        progress: called with the number of queries answered so far.

    Attributes:
        asked_now: queries that the boards answered, and not the file.
    """

    def __init__(
        self, boards: Sequence[Streamer], results: ResultsFile, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self._boards, self._results, self._progress = boards, results, progress
        self._begun = 0
        self.asked_now = 0

    def __call__(self, levels: Levels, asked: list[str]) -> Levels:
        """Output levels int64 (N, outputs) of input levels (N, *input shape) with these digests.

        Raises:
            StqError: the file has another query at this place, or a board or the disk fails.
        """
        batch = _BoardBatch(self._results, self._begun, asked)
        self._begun += len(asked)
        self.asked_now += stream_missing(self._boards, levels, batch)
        self._progress(self._begun)
        return batch.outputs()


@dataclass(frozen=True)
class _BoardBatch:
    """The next queries of an attack, as `stream_missing` records them.

    Attributes:
        begin: number of the first one.
        asked: digest of each.
    """

    results: ResultsFile
    begin: int
    asked: list[str]

    def missing(self, limit: int) -> list[int]:
        """Which of the first `limit` have no answer yet."""
        return [i for i in range(limit) if self._kept(i) is None]

    def append(self, index: int, result: Result) -> None:
        """Keep an answer."""
        self.results.append(self.begin + index, replace(result, asked=self.asked[index]))

    def outputs(self) -> Levels:
        """Every answer, (N, outputs)."""
        return np.array([self.results.results[self.begin + i].logits for i in range(len(self.asked))], np.int64)

    def _kept(self, i: int) -> Result | None:
        kept = self.results.results.get(self.begin + i)
        if kept is not None and kept.asked != self.asked[i]:
            raise StqError(
                f"query {self.begin + i} of the earlier attack is another one than now",
                where=str(self.results.path),
                cause="the program, ART or NumPy changed since, so that the attack takes another way",
                next="remove that file, and the attack starts anew",
            )
        return kept
