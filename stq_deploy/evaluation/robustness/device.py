"""The part of a preset that a board answers: the worst pictures streamed to it, and attacks that ask it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.common.progress import Progress, silent
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation.agreement import check_agreement
from stq_deploy.evaluation.board_run import SampleFile, run_file
from stq_deploy.evaluation.live.run import LiveAttack, attack_live
from stq_deploy.evaluation.robustness.presets import Device, LiveStep
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.evaluation.task import Stated, stated_classes
from stq_deploy.executors.firmware import find_or_build, held_build
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.executors.opened_boards import open_board, open_emulated
from stq_deploy.pipeline import Conversion, Pipeline
from stq_deploy.targets.boards import load_board


@dataclass(frozen=True)
class DeviceChoice:
    """The boards to ask: `board` at the serial port, or `boards` emulated ones without a port."""

    board: str = "stm32h743"
    port: str | None = None
    boards: int | None = None


@dataclass(frozen=True)
class Streamed:
    """A sample file on the board. Every output level was equal to the reference's.

    Attributes:
        name: of the file.
        right: by the board.
    """

    name: str
    right: Accuracy


@dataclass(frozen=True, eq=False)
class OnDevice:
    """The answers of the boards.

    Attributes:
        streamed: file by file; every sample's output was compared with the reference and is equal.
        live: attacks whose oracle it was; every query and answer is equal to the host twin's.
    """

    board: str
    emulated: bool
    boards: int
    build_id: str
    streamed: tuple[Streamed, ...]
    live: tuple[LiveAttack, ...]

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            "board": self.board,
            "emulated": self.emulated,
            "boards": self.boards,
            "build_id": self.build_id,
            "streamed": [{"file": one.name, "right": one.right.to_json()} for one in self.streamed],
            "samples_equal_to_reference": sum(one.right.total for one in self.streamed),
            "live": [one.to_json() for one in self.live],
        }


def run_on_device(
    model: Path,
    device: Device,
    clean: SampleSet,
    files: Sequence[SampleFile],
    out: Path,
    *,
    place: DeviceChoice | None = None,
    seed: int = 0,
    conversion: Conversion | None = None,
    threshold: float | None = None,
    progress: Progress = silent,
) -> OnDevice:
    """Stream clean samples and the files to the boards; then attack the boards.

    What an earlier run left in `out` is not asked again.

    Args:
        model: Keras model or .stq network.
        clean: pictures with classes; the first ones are attacked live.
        files: attacked samples.
        conversion: how a Keras model is converted.
        threshold: the user's, of a network of one unit; None: the network's own.

    Raises:
        StqError: the model is not converted, or a board fails. Also if it differs from the reference or the host twin;
            the message then names the samples or the query.
    """
    place = place or DeviceChoice()
    board = load_board(place.board)
    program = Pipeline(conversion or Conversion(), progress=progress).program(model)
    stated = stated_classes(program.network.output_format, threshold)
    with ExitStack() as held:
        firmware = find_or_build(program, board, out, progress)
        held.enter_context(held_build(firmware, out))
        if place.port is None:
            count = place.boards or os.cpu_count() or 1
            executors = held.enter_context(open_emulated(board, firmware, count=count))
        else:
            executors = [held.enter_context(open_board(board, firmware, place.port))]
        both = (SampleFile("clean.npz", clean), *files)
        streamed = tuple(_stream(executors, file, stated, out, progress) for file in both)
        live = tuple(_attack(executors, step, clean, out, seed, threshold, progress) for step in device.live)
    return OnDevice(board.name, place.port is None, len(executors), firmware.build_id, streamed, live)


def _stream(
    executors: Sequence[LinkExecutor], file: SampleFile, stated: Stated, out: Path, progress: Progress
) -> Streamed:
    scoring = file.scoring(executors[0].program.network, stated)
    comparison = run_file(executors, file, out / "results", scoring=scoring, progress=progress).comparison
    check_agreement([comparison])
    right = comparison.board_score
    assert isinstance(right, Accuracy)  # the samples have classes
    return Streamed(file.name, right)


def _attack(
    executors: Sequence[LinkExecutor],
    step: LiveStep,
    clean: SampleSet,
    out: Path,
    seed: int,
    threshold: float | None,
    progress: Progress,
) -> LiveAttack:
    samples, folder = clean.first(step.samples), out / "live"
    found = attack_live(
        executors, samples, step.made(), folder, seed=seed, threshold=threshold, progress=progress
    )  # fmt: skip
    save_samples(found.sample_set(), out / step.file)
    return found
