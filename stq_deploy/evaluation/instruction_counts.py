"""Executed instructions of every layer on several emulated boards, which must all count the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np

from stq_deploy.executors.executor import Levels
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.program import Program
from stq_deploy.targets.boards import Board


@dataclass(frozen=True)
class LayerCounts:
    """One layer.

    Attributes:
        kernel: C name.
        counts: board -> instructions for each sample.
    """

    name: str
    kernel: str
    macs: int
    counts: dict[str, tuple[int, ...]]

    @property
    def equal(self) -> bool:
        """Whether all boards agree, in every sample."""
        return len(set(self.counts.values())) == 1


def instruction_counts(program: Program, boards: Sequence[Board], levels: Levels) -> list[LayerCounts]:
    """Build the program for every board, run it there, and count by layer.

    The boards must take their kernels with the same flags, or the counts cannot be equal.

    Args:
        levels: samples (N, *input shape).

    Raises:
        StqError: building fails, or a board cannot be emulated here.
    """
    counts = {}
    for board in boards:
        with TemporaryDirectory(prefix="stq-build-") as folder:
            firmware = build_afresh(program, board, folder)
            with open_emulated(board, firmware, counting=True) as (executor,):
                counts[board.name] = np.array([one.layer_cycles for one in executor.stream(levels, layer_cycles=True)])
    return [
        LayerCounts(
            layer.name,
            layer.kernel,
            layer.macs,
            {board: tuple(int(n) for n in by_layer[:, i]) for board, by_layer in counts.items()},
        )
        for i, layer in enumerate(program.layers)
    ]
