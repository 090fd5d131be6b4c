"""A profile of a network on a board: the sample to run, and what a connected board counts beside the estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.cycles.profile import Counted, CounterUnit
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors.opened_boards import open_board
from stq_deploy.network import Network
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.built import BuiltFirmware

COUNTED_INFERENCES = 5
_EMULATED_PORTS = "/dev/pts/"
_EXTREMES = 2


def profiling_sample(network: Network, samples: Path | None) -> npt.NDArray[Any]:
    """Levels (*input shape) of one sample.

    It is the first of `samples`, if given; else the first shipped one of the input's shape, or seeded noise.

    Raises:
        StqError: the sample file is unusable, of another shape, or outside the network's domain.
    """
    if samples is not None:
        levels = verification_inputs(network, samples, 1).levels
        if not len(levels):
            raise StqError("there is no sample in the file", where=str(samples))
        return np.asarray(levels[0])
    return np.asarray(verification_inputs(network, None, _EXTREMES + 1).levels[_EXTREMES])


def count_on_board(board: Board, firmware: BuiltFirmware, port: str, levels: npt.NDArray[Any]) -> Counted:
    """Let a connected board run one sample (*input shape) a few times and count.

    Raises:
        StqError: the port or the board fails, the board runs another build, or its counter does not count.
    """
    with open_board(board, firmware, port) as executor:
        answers = list(executor.stream([levels] * COUNTED_INFERENCES, layer_cycles=True))
    counts = np.array([answer.layer_cycles for answer in answers])
    if not counts.any():
        raise StqError(
            "the cycle counter of the board stands still", where=port,
            cause="an emulated board counts only in its counting mode",
            next="start it with `stq-deploy emulate ELF --mode counting`, or leave out --port",
        )  # fmt: skip
    unit = CounterUnit.INSTRUCTIONS if str(Path(port).resolve()).startswith(_EMULATED_PORTS) else CounterUnit.CYCLES
    return Counted(unit, tuple(int(n) for n in np.median(counts, axis=0)), len(answers))
