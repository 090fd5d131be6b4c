"""Evaluates one shipped network: the float model, the integer network in C on this computer, and the emulated board."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.samples import SampleSet, dataset_metadata, samples_of_dataset
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.scores import Accuracy, classes_of
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.network import Network
from stq_deploy.pipeline import Conversion, PostTraining, load_any, open_source
from stq_deploy.program import plan_network
from stq_deploy.research.training.result import git_commit
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.zoo.schemes import get_scheme
from stq_deploy.zoo.shipped import ShippedModel

CALIBRATION = 1024


def shipped_row(
    model: ShippedModel, data: Path | None, board: Board, on_board: int, limit: int | None
) -> dict[str, Any]:
    """One network's figures, printed as they come."""
    config = model.record.config
    test = samples_of_dataset(config.dataset, data, limit)
    conversion = _conversion(model, data)
    source = open_source(model.keras)
    network = load_any(source, conversion)
    inputs = read_inputs(test, network.input_format)
    predictions = FloatModel(source, conversion).classes(inputs.values)
    floating = Accuracy.of(predictions, test.y)
    part = samples_of_dataset(config.dataset, data, min(on_board, limit or on_board))
    # The host runs all samples while the emulator, a process of its own, runs its part.
    with ThreadPoolExecutor(max_workers=1) as beside:
        on_host = beside.submit(_host_classes, network, inputs.levels)
        on_board_levels = read_inputs(part, network.input_format).levels
        firmware, found, expected = _board_classes(network, board, on_board_levels)
        classes = on_host.result()
    integer = Accuracy.of(classes, test.y)
    row = {
        "model": model.name,
        "network": config.network,
        "variant": config.variant,
        "scheme": config.scheme,
        "dataset": config.dataset,
        "float": floating.to_json(),
        "integer": integer.to_json(),
        "predictions_differing_from_float": int((classes != predictions).sum()),
        "board": Accuracy.of(found, part.y).to_json()
        | {"name": board.name, "differing": int((found != expected).sum())},
        "bytes": {
            "qstats": firmware.figures.qstats_bytes,
            "packed": firmware.figures.packed_bytes,
            "linked": firmware.flash_bytes,
        },
        "compiler": firmware.compiler_version,
        "command": "tools/reproduce table3",
        "commit": git_commit(),
        "training": {
            "seed": config.seed,
            "epochs": len(model.record.history),
            "hours": round(model.record.training_seconds / 3600, 1),
            "recipe": config.recipe.get("title") or "settings of version 0.1",
            "commit": model.record.git_commit,
        },
    }
    board_score = Accuracy.of(found, part.y)
    click.echo(
        f"{model.name}: float {floating}, integer {integer} of {integer.total:,}; on the board {board_score} of "
        f"{board_score.total:,}, {row['board']['differing']} unlike the reference"
    )
    return row


def _host_classes(network: Network, levels: NDArray[Any]) -> NDArray[np.int64]:
    with open_executor("host", plan_network(network)) as host:
        return classes_of(host.run(levels)[0])


def _board_classes(
    network: Network, board: Board, levels: NDArray[Any]
) -> tuple[BuiltFirmware, NDArray[np.int64], NDArray[np.int64]]:
    """The firmware, the classes its emulated board gives, and those that the integer reference expects."""
    program = plan_network(network)
    with tempfile.TemporaryDirectory(prefix="stq-reproduce-") as folder, open_executor("numpy", program) as reference:
        firmware = build_afresh(program, board, folder)
        with open_emulated(board, firmware) as (emulated,):
            found = classes_of(emulated.run(levels)[0])
        return firmware, found, classes_of(reference.run(levels)[0])


def _conversion(model: ShippedModel, data: Path | None) -> Conversion:
    """A model without quantizers is quantized after training, by training samples."""
    config = model.record.config
    if get_scheme(config.scheme).quantized:
        return Conversion()
    dataset = load_dataset(config.dataset, data)
    return Conversion(post_training=PostTraining(samples_of_training(dataset)))


def samples_of_training(dataset: Dataset) -> SampleSet:
    """The training samples for calibration, drawn once and with a fixed seed."""
    drawn = np.random.default_rng(0).permutation(len(dataset.x_train))[:CALIBRATION]
    y = dataset.y_train[drawn].astype(np.int64)
    return SampleSet(dataset.x_train[drawn], y, dataset_metadata(dataset))
