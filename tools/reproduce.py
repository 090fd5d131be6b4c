"""Evaluates every shipped network anew, and writes what came of it as docs/RESULTS.md.

`table3` is the paper's Table III: accuracy on the whole test part and bytes of flash, the paper's figures and ours. Of
every network the float model, the integer network in C on this computer and the emulated board are run.
`table5` is its Table V: it takes over what finished cross validations found.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click
import jinja2
import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.boards import Board, load_board
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.base import Dataset
from stq_deploy.datasets.samples import SampleSet, dataset_metadata, samples_of_dataset
from stq_deploy.errors import StqError
from stq_deploy.evaluation.boards import open_emulated
from stq_deploy.evaluation.firmware import Firmware, build_afresh
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.open_executor import open_executor
from stq_deploy.evaluation.scores import Accuracy, classes_of
from stq_deploy.files import write_whole
from stq_deploy.network import Network
from stq_deploy.passes import Conversion, PostTraining, load_any
from stq_deploy.training.result import git_commit
from stq_deploy.zoo.schemes import SCHEMES, get_scheme
from stq_deploy.zoo.shipped import ShippedModel, shipped_models

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES = DOCS / "figures" / "table3.json"
FOLD_FIGURES = DOCS / "figures" / "table5.json"
PAPER = DOCS / "paper" / "table3_clean.csv"
PAPER_FOLDS = DOCS / "paper" / "table5_kfold_variance.csv"
PAGE = DOCS / "RESULTS.md"
CALIBRATION = 1024


class PaperDataset(NamedTuple):
    """A data set of the paper: its name here, its column in Table III, a title, its name in Table V, and the network of
    MLPerf Tiny (MLCT) that the paper compares with on it.
    """

    name: str
    column: str
    title: str
    label: str
    mlct: str


DATASETS = (
    PaperDataset("cifar10", "cifar10", "CIFAR-10, gray", "CIFAR-10", "resnet_v1"),
    PaperDataset("svhn", "svhn", "SVHN, gray", "SVHN", "resnet_v1"),
    PaperDataset("speech-commands", "gsc", "Speech Commands, the paper's twelve words", "GSC", "ds_cnn"),
)


@click.group()
def main() -> None:
    """Evaluate the shipped networks, and write docs/RESULTS.md."""


@main.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: as for `train`]")
@click.option("--board", "board_name", default="stm32h743", help="To build for, and to run on, emulated.")
@click.option("--on-board", default=1000, help="Test samples to run on the emulated board.")
@click.option("--limit", type=click.IntRange(min=1), help="Only N test samples: a trial, which writes nothing.")
@click.option("--model", "names", multiple=True, help="Only this shipped model: the others' figures are kept.")
def table3(data: Path | None, board_name: str, on_board: int, limit: int | None, names: tuple[str, ...]) -> None:
    """Re-evaluate every shipped network and rewrite the table."""
    try:
        board = load_board(board_name)
        chosen = [model for name, model in shipped_models().items() if not names or name in names]
        rows = {model.name: _row(model, data, board, on_board, limit) for model in chosen}
    except StqError as error:
        raise click.ClickException(str(error)) from error
    if limit is None:
        # read only now: another network may have been evaluated meanwhile
        kept = {row["model"]: row for row in kept_rows()}
        rows = {name: (kept | rows)[name] for name in shipped_models() if name in kept | rows}
        write_whole(FIGURES, json.dumps({"board": board.name, "rows": list(rows.values())}, indent=1) + "\n")
        write_whole(PAGE, results_page(list(rows.values()), kept_validations()))
        click.echo(f"Wrote {FIGURES.name} and {PAGE.name}.")
    sys.exit(1 if any(row["board"]["differing"] for row in rows.values()) else 0)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
def table5(runs: tuple[Path, ...]) -> None:
    """Take over finished cross validations, `stq-deploy cross-validate --out RUN`, and rewrite the table.

    One of the same network, variant, scheme and data set replaces the former.
    """
    validations = {_validated(found): found for found in kept_validations()}
    for run in runs:
        try:
            found = json.loads((run / "cross_validation.json").read_text(encoding="utf-8"))
            validations[_validated(found)] = found
            ordered = [validations[key] for key in sorted(validations)]
            page = results_page(kept_rows(), ordered)
        except (OSError, ValueError, KeyError, jinja2.UndefinedError) as error:
            raise click.ClickException(
                f"no finished cross validation in {run}, or one of an older version ({error}); cross-validate once more"
            ) from error
    write_whole(FOLD_FIGURES, json.dumps({"validations": ordered}, indent=1) + "\n")
    write_whole(PAGE, page)
    click.echo(f"Wrote {FOLD_FIGURES.name} and {PAGE.name}.")


def kept_rows() -> list[dict[str, Any]]:
    """Figures that `table3` wrote."""
    if not FIGURES.is_file():
        return []
    rows: list[dict[str, Any]] = json.loads(FIGURES.read_text(encoding="utf-8"))["rows"]
    return rows


def kept_validations() -> list[dict[str, Any]]:
    """Figures that `table5` wrote."""
    if not FOLD_FIGURES.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(FOLD_FIGURES.read_text(encoding="utf-8"))["validations"]
    return found


def _validated(validation: dict[str, Any]) -> tuple[str, str, str, str]:
    training = validation["training"]
    return training["dataset"], training["network"], training["variant"], training["scheme"]


def _row(model: ShippedModel, data: Path | None, board: Board, on_board: int, limit: int | None) -> dict[str, Any]:
    """One network's figures, printed as they come."""
    config = model.record["config"]
    test = samples_of_dataset(config["dataset"], data, limit)
    conversion = _conversion(model, data)
    network = load_any(model.keras, conversion)
    inputs = read_inputs(test, network.input_format)
    predictions = FloatModel(model.keras, conversion).classes(inputs.values)
    floating = Accuracy.of(predictions, test.y)
    part = samples_of_dataset(config["dataset"], data, min(on_board, limit or on_board))
    # The host runs all samples while the emulator, a process of its own, runs its part.
    with ThreadPoolExecutor(max_workers=1) as beside:
        on_host = beside.submit(_host_classes, network, inputs.levels)
        on_board_levels = read_inputs(part, network.input_format).levels
        firmware, found, expected = _board_classes(network, board, on_board_levels)
        classes = on_host.result()
    integer = Accuracy.of(classes, test.y)
    row = {
        "model": model.name,
        "network": config["network"],
        "variant": config["variant"],
        "scheme": config["scheme"],
        "dataset": config["dataset"],
        "float": floating.as_json(),
        "integer": integer.as_json(),
        "predictions_differing_from_float": int((classes != predictions).sum()),
        "board": Accuracy.of(found, part.y).as_json()
        | {"name": board.name, "differing": int((found != expected).sum())},
        "bytes": {
            "qstats": firmware.footprint.qstats,
            "packed": firmware.footprint.packed,
            "linked": firmware.footprint.flash,
        },
        "compiler": firmware.compiler,
        "command": "tools/reproduce table3",
        "commit": git_commit(),
        "training": {
            "seed": config["seed"],
            "epochs": len(model.record["history"]),
            "hours": round(model.record["training_seconds"] / 3600, 1),
            "recipe": (config.get("recipe") or {}).get("title") or "settings of version 0.1",
            "commit": model.record["git_commit"],
        },
    }
    board_score = Accuracy.of(found, part.y)
    click.echo(
        f"{model.name}: float {floating}, integer {integer} of {integer.total:,}; on the board {board_score} of "
        f"{board_score.total:,}, {row['board']['differing']} unlike the reference"
    )
    return row


def _host_classes(network: Network, levels: NDArray[Any]) -> NDArray[np.int64]:
    with open_executor("host", network) as host:
        return classes_of(host.run(levels))


def _board_classes(
    network: Network, board: Board, levels: NDArray[Any]
) -> tuple[Firmware, NDArray[np.int64], NDArray[np.int64]]:
    """The firmware, the classes its emulated board gives, and those that the integer reference expects."""
    with tempfile.TemporaryDirectory(prefix="stq-reproduce-") as folder, open_executor("numpy", network) as reference:
        firmware = build_afresh(network, board, folder)
        with open_emulated(network, board, firmware) as (emulated,):
            found = classes_of(emulated.run(levels))
        return firmware, found, classes_of(reference.run(levels))


def _conversion(model: ShippedModel, data: Path | None) -> Conversion:
    """A model without quantizers is quantized after training, by training samples."""
    config = model.record["config"]
    if get_scheme(config["scheme"]).quantized:
        return Conversion()
    dataset = load_dataset(config["dataset"], data)
    return Conversion(post_training=PostTraining(samples_of_training(dataset)))


def samples_of_training(dataset: Dataset) -> SampleSet:
    """As many training samples as are looked at, drawn once and for all."""
    drawn = np.random.default_rng(0).permutation(len(dataset.x_train))[:CALIBRATION]
    y = dataset.y_train[drawn].astype(np.int64)
    return SampleSet(dataset.x_train[drawn], y, dataset_metadata(dataset))


def results_page(rows: list[dict[str, Any]], validations: list[dict[str, Any]]) -> str:
    """docs/RESULTS.md, from figures and the paper's tables alone."""
    paper = {
        line["scheme"].lower().replace("-bit", "bit"): line for line in csv.DictReader(PAPER.read_text().splitlines())
    }
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, of our own figures
    )
    environment.filters["accuracy"] = _accuracy
    environment.filters["variance"] = _variance
    environment.filters["entries"] = lambda settings: ", ".join(f"`{name}={value}`" for name, value in settings.items())
    template = environment.from_string(Path(__file__).with_name("results.md.jinja").read_text())
    names = [dataset.name for dataset in DATASETS]
    stq = {(row["dataset"], row["scheme"]): row for row in rows if row["network"] == "stq"}
    return template.render(
        schemes=[SCHEMES[name] for name in SCHEMES],
        paper=paper,
        datasets=DATASETS,
        stq=stq,
        others=[row for row in rows if row["network"] != "stq" or row["dataset"] not in names],
        rows=rows,
        validations=validations,
        paper_folds=list(csv.DictReader(PAPER_FOLDS.read_text().splitlines())),
        validation_of=_by_column(validations),
    )


def _by_column(validations: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Those that stand beside the paper's, by (its name of the data set, its column)."""
    found = {}
    for validation in validations:
        training = validation["training"]
        for dataset in DATASETS:
            if training["dataset"] == dataset.name and training["network"] == "stq" and training["scheme"] == "stq":
                found[dataset.label, "stq"] = validation
            elif (
                training["dataset"] == dataset.name
                and training["network"] == dataset.mlct
                and training["scheme"] == "fp"
            ):
                found[dataset.label, "mlct"] = validation
    return found


def _accuracy(score: dict[str, Any]) -> str:
    low, high = score["wilson95"]
    return f"{100 * score['top1']:.2f} ({100 * low:.1f} .. {100 * high:.1f})"


def _variance(validation: dict[str, Any] | None, procedure: str) -> str:
    if validation is None or procedure not in validation["procedures"]:
        return "not yet run"
    found = validation["procedures"][procedure]
    return f"{found['variance']:.2f} (mean {found['mean']:.2f})"


if __name__ == "__main__":
    main()
