"""Measures how much processor time emulated boards take for an inference over the link, in fast mode.

    tools/emulated_rate [--model NAME] [--inferences 60] [--boards 2] [--json FILE]

Each board infers a few samples first, so that its code is translated. Processor time does not depend on what else this
computer does; the rate does, so the load average stands beside it. Outputs are compared with NumPy's: a difference ends
the tool with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.executors.executor import Levels
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.pipeline import load_any
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board, load_board
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.zoo.shipped import DEFAULT_MODEL, resolve_model
from tests.helpers.networks import random_levels
from tools.figures_file import check_figures, write_figures

FIRST = 4
"""Inferences of each board that are not counted."""


@dataclass(frozen=True)
class Rate:
    """What inferences over the link took.

    Attributes:
        emulator_seconds: processor seconds of an emulated board for one inference.
        host_seconds: processor seconds of this process for one inference.
        inferences_per_second: of all boards together, as the clock on the wall has it.
        idle_inferences_per_second: the same on a computer with nothing else to do, by processor seconds.
    """

    model: str
    boards: int
    inferences: int
    emulator_seconds: float
    host_seconds: float
    inferences_per_second: float
    idle_inferences_per_second: float
    cpus: int
    load_average: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--inferences", type=int, default=60, help="of all boards together; default: %(default)s")
    parser.add_argument("--boards", type=int, default=2, help="emulated ones; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    try:
        return run(options)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    check_figures(options.json, [Path(options.model)])
    program, board = plan_network(load_any(resolve_model(options.model))), load_board("stm32h743")
    levels = random_levels(program.network, FIRST * options.boards + options.inferences)
    levels = levels.astype(program.network.input_type.dtype)
    expected = NumpyExecutor(program).run(levels)[0]
    with tempfile.TemporaryDirectory(prefix="stq-rate-") as folder:
        firmware = build_afresh(program, board, folder)
        few, many = (
            measured(board, firmware, levels, expected, FIRST * options.boards + more, options.boards)
            for more in (0, options.inferences)
        )
    if few is None or many is None:
        print("a board's output differs from NumPy's", file=sys.stderr)
        return 1
    emulators, host, wall = ((b - a) / options.inferences for a, b in zip(few, many, strict=True))
    cpus = os.cpu_count() or 1
    idle = min(options.boards, cpus) / (emulators + host)
    rate = Rate(
        options.model, options.boards, options.inferences, round(emulators, 4), round(host, 4), round(1 / wall, 2),
        round(idle, 1), cpus, round(os.getloadavg()[0], 1),
    )  # fmt: skip
    for name, value in asdict(rate).items():
        print(f"{name:28} {value}")
    if options.json is not None:
        write_figures(options.json, asdict(rate))
    return 0


def measured(
    board: Board, firmware: BuiltFirmware, levels: Levels, expected: np.ndarray, count: int, boards: int
) -> tuple[float, float, float] | None:
    """Seconds of the emulators' processors, of this process's, and on the wall; None if an output is wrong."""
    before, own, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time(), 0.0
    with open_emulated(board, firmware, count=boards) as executors, ThreadPoolExecutor(boards) as threads:
        started = time.monotonic()
        answers = threads.map(lambda i: executors[i].run(levels[i:count:boards])[0], range(boards))
        equal = [np.array_equal(answer, expected[i:count:boards]) for i, answer in enumerate(answers)]
        wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (spent, time.process_time() - own, wall) if all(equal) else None


if __name__ == "__main__":
    sys.exit(main())
