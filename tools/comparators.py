"""Trains and attacks the comparators' rows: the strided network with each defense, on gray CIFAR-10.

    ./tools/comparators --state FOLDER [--only ROW] [--samples 128]

A training is as short as two cores afford (`_EPOCHS`), and all rows but the first start from the same network. Rows
whose training runs elsewhere are given by `--trained ROW=FOLDER`. Each row is attacked by `robustness --preset quick`.
Interrupted, the same command continues. A row with noise is also measured on two other files. One is made without
the noise, the other by an attack that takes all its steps. The figures go to docs/figures/comparators.json, and the
table to docs/ROBUSTNESS.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.files import write_whole
from stq_deploy.common.intervals import wilson_interval
from stq_deploy.research.attacks.defence import RandomNoise
from tools.figures_file import write_figures
from tools.marked_block import replace_block
from tools.noisy_worst import right_under_noise

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES = DOCS / "figures" / "comparators.json"
PAGE = DOCS / "ROBUSTNESS.md"
BLOCK = "comparators"
SERIES = "Linf"
BUDGETS = ("1/255", "2/255", "4/255", "8/255")
_EPOCHS = 10
_JACOBIAN_EPOCHS = 8


@dataclass(frozen=True)
class Training:
    """A row's network.

    Attributes:
        name: of its folder.
        recipe: shipped recipe.
        scheme: of the weights; or a name ending in .toml, a file in the state folder.
        epochs: passes over the training samples.
        parent: the training that it starts from; None: from scratch.
    """

    name: str
    recipe: str
    scheme: str
    epochs: int = _EPOCHS
    parent: str | None = "fp"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        title: as the table shows it.
        training: name of its network.
        options: of `stq-deploy robustness`.
    """

    title: str
    training: str
    options: tuple[str, ...] = ()

    @property
    def noise(self) -> RandomNoise | None:
        """The noise of its defense, if it has one."""
        return RandomNoise.from_text(self.options[1]) if self.options else None

    @property
    def without_noise(self) -> Row:
        """The row of the same network without the noise."""
        return next(row for row in ROWS if row.training == self.training and not row.options)

    @property
    def name(self) -> str:
        """The name of its folder, which `--only` takes."""
        return "-".join((self.training, *self.options)).replace(":", "").replace("--", "")


TRAININGS = (
    Training("fp", "fp", "fp", 20, None),
    Training("stq", "quantized", "stq"),
    Training("ternary", "quantized", "ternary"),
    Training("binary", "quantized", "binary"),
    Training("jacobian", "jacobian", "fp", _JACOBIAN_EPOCHS),
    Training("noisy", "noisy", "fp"),
    Training("quanos", "quantized", "quanos.toml"),
    Training("pixels-4-bits", "quantized", "pixels4.toml"),
    Training("pixels-2-bits", "quantized", "pixels2.toml"),
    Training("robust-fp", "robust-fp", "fp", 32),
    Training("robust-stq", "robust-quantized", "stq", 24, "robust-fp"),
)
_RND = ("--defence", "rnd:5.1")
_AVERAGED = ("--eot", "4")
_TO_THE_END = ("pgd-full", "--set", "max_iter=20", "--eot", "8")
ROWS = (
    Row("floating point", "fp"),
    Row("STQ", "stq"),
    Row("ternary", "ternary"),
    Row("binary", "binary"),
    Row("JR: Jacobian regularization", "jacobian"),
    Row("RND, 5.1 levels", "fp", _RND),
    Row("RND, 5.1 levels; 4 answers averaged", "fp", _RND + _AVERAGED),
    Row("training on noise, none in use", "noisy"),
    Row("RND-GF, 5.1 levels", "noisy", _RND),
    Row("RND-GF, 5.1 levels; 4 answers averaged", "noisy", _RND + _AVERAGED),
    Row("RND-AT, 5.1 levels", "robust-fp", _RND),
    Row("RND-AT, 5.1 levels; 4 answers averaged", "robust-fp", _RND + _AVERAGED),
    Row("QUANOS-style bits", "quanos"),
    Row("pixels of 4 bits", "pixels-4-bits"),
    Row("pixels of 2 bits", "pixels-2-bits"),
    Row("adversarial training, floating point", "robust-fp"),
    Row("adversarial training, STQ", "robust-stq"),
)


@click.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder of trainings and attacks.")
@click.option("--data", type=click.Path(path_type=Path), help="As for `stq-deploy train`.")
@click.option("--samples", type=click.IntRange(min=1), default=128, show_default=True, help="Samples to attack.")
@click.option("--only", multiple=True, type=click.Choice([row.name for row in ROWS]), help="Only this row; repeatable.")
@click.option("--trained", multiple=True, metavar="ROW=FOLDER", help="A finished training to take; repeatable.")
@click.option("--page", "page_only", is_flag=True, help="Only write the table of the figures that are there.")
def main(
    state: Path, data: Path | None, samples: int, only: tuple[str, ...], trained: tuple[str, ...], page_only: bool
) -> None:
    """Train and attack the comparators' rows, and write their figures and their table."""
    figures = _figures()
    elsewhere = {name: Path(folder) for name, _, folder in (text.partition("=") for text in trained)}
    for row in () if page_only else ROWS:
        if only and row.name not in only:
            continue
        try:
            model = _trained(_training(row.training), state, data, elsewhere)
            record = _attacked(row, model, state, data, samples)
            noisy = _with_all_files(row, model, state, data, samples)
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"{row.title}: the command {' '.join(error.cmd[3:])} has failed") from error
        figures[row.name] = summary(row, json.loads((model.parent / "result.json").read_text()), record, noisy)
        write_figures(FIGURES, {"rows": figures})
        click.echo(f"{row.title}: {noisy or figures[row.name]['worst']}")
    write_whole(PAGE, replace_block(PAGE.read_text(), BLOCK, table(figures)))


def _figures() -> dict[str, Any]:
    return dict(json.loads(FIGURES.read_text())["rows"]) if FIGURES.exists() else {}


def _training(name: str) -> Training:
    return next(training for training in TRAININGS if training.name == name)


def _trained(training: Training, state: Path, data: Path | None, elsewhere: dict[str, Path]) -> Path:
    """The network's model file; trains it, and what it starts from, unless that is done."""
    folder = elsewhere.get(training.name, state / training.name)
    if not (folder / "result.json").is_file():
        parent = None
        if training.parent is not None:
            parent = _trained(_training(training.parent), state, data, elsewhere)
        scheme = training.scheme
        if scheme.endswith(".toml"):
            scheme = str(_scheme_file(state / scheme, parent, data))
        _run(
            "train", "--network", "stq", "--variant", "strided", "--dataset", "cifar10", "--resume",
            "--recipe", training.recipe, "--scheme", scheme, "--epochs", str(training.epochs), "--out", str(folder),
            *(() if parent is None else ("--warm-start", str(parent))), *_given(data),
        )  # fmt: skip
    return folder / "model.h5"


def _scheme_file(path: Path, parent: Path | None, data: Path | None) -> Path:
    """A scheme by layer: from the parent's sensitivities, or with coarse pixels."""
    if path.is_file():
        return path
    if path.stem == "quanos":
        _run("robustness-sensitivity", str(parent), "--base", "4bit", "--scheme-out", str(path), *_given(data))
    else:
        bits = path.stem.removeprefix("pixels")
        write_whole(
            path, f'title = "STQ, with pixels of {bits} bits"\nbase = "stq"\n\n[activations]\nquantize_input = {bits}\n'
        )
    return path


def _attacked(row: Row, model: Path, state: Path, data: Path | None, samples: int) -> dict[str, Any]:
    """The record of the attacks on a row's network; finished parts are taken over."""
    out = _attacks(row, state)
    _run(
        "robustness", str(model), "--preset", "quick", "--samples", str(samples), "--processes", "1",
        "--out", str(out), *row.options, *_given(data),
    )  # fmt: skip
    found: dict[str, Any] = json.loads((out / "robustness.json").read_text())
    return found


def _attacks(row: Row, state: Path) -> Path:
    return state / "attacks" / row.name


def _with_all_files(row: Row, model: Path, state: Path, data: Path | None, samples: int) -> dict[str, float] | None:
    """Mean number of right samples by budget where each picture is sent as it harms most: as the row's attack made it,
    as the attack on the network alone did, or as `_TO_THE_END` did. None for a row without noise.
    """
    if row.noise is None:
        return None
    _attacked(row.without_noise, model, state, data, samples)
    folders = [_attacks(one, state) for one in (row, row.without_noise)]
    files = [
        [
            *(folder / f"worst-{SERIES}-{_safe(eps)}.npz" for folder in folders),
            _to_the_end(row, eps, model, state, data, samples),
        ]
        for eps in BUDGETS
    ]
    return dict(zip(BUDGETS, right_under_noise(model, files, row.noise), strict=True))


def _to_the_end(row: Row, eps: str, model: Path, state: Path, data: Path | None, samples: int) -> Path:
    """The file of the attack that averages answers and takes all its steps; made unless it is there."""
    file = _attacks(row.without_noise, state) / f"{_TO_THE_END[0]}-{_safe(eps)}-{samples}.npz"
    if not file.is_file():
        name, *settings = _TO_THE_END
        _run(
            "attack", "--model", str(model), "--attack", name, "--eps", eps, *settings, *row.options[:2],
            "--dataset", "cifar10", "--limit", str(samples), "--out", str(file), *_given(data),
        )  # fmt: skip
    return file


def _safe(eps: str) -> str:
    return eps.replace("/", "-")


def summary(row: Row, result: dict[str, Any], record: dict[str, Any], noisy: dict[str, float] | None) -> dict[str, Any]:
    """What the table needs of a training's result, a robustness record, and the mean counts under fresh noise."""
    found = next(series for series in record["series"] if series["name"] == SERIES)
    return {
        "title": row.title,
        "clean_of_all": result["test_accuracy"],
        "test_samples": result["test_samples"],
        "epochs": result["epochs_done"],
        "samples": record["samples"],
        "clean": record["integer_clean"]["correct"],
        "fresh_clean": _mean(record["fresh_clean"]),
        "worst": {line["eps"]: line["integer"]["correct"] for line in found["rows"]},
        "fresh": {line["eps"]: _mean(line["fresh"]) for line in found["rows"]},
        "all_files": noisy,
        "flags": [flag["name"] for flag in record["flags"] if flag["raised"]],
        "first_order": record["first_order"]["jacobian_by_margin"],
        "seed": record["seed"],
        "model_sha256": record["model_sha256"],
        "versions": record["versions"],
    }


def _mean(draws: list[dict[str, Any]] | None) -> float | None:
    """Mean number of right samples over the draws of fresh noise; None without a defense."""
    return sum(draw["correct"] for draw in draws) / len(draws) if draws else None


def table(figures: dict[str, Any]) -> str:
    """The rows as Markdown, in the order of `ROWS`."""
    shown = [figures[row.name] for row in ROWS if row.name in figures]
    if not shown:
        return "No row is measured yet.\n"
    lines = [
        "| network | clean, all | clean, attacked samples | " + " | ".join(BUDGETS) + " | signs of masking |",
        "|---" * (len(BUDGETS) + 4) + "|",
    ]
    lines += [_line(row) for row in shown]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    noisy = row["fresh_clean"] is not None
    cells = [
        f"{100 * row['clean_of_all']:.1f} %",
        _share(row["fresh_clean"] if noisy else row["clean"], row["samples"]),
    ]
    cells += [
        _share((row["all_files"] if noisy else row["worst"])[eps], row["samples"], interval=True) for eps in BUDGETS
    ]
    return f"| {row['title']} | " + " | ".join([*cells, ", ".join(row["flags"]) or "none"]) + " |"


def _share(right: float, samples: int, *, interval: bool = False) -> str:
    text = f"{100 * right / samples:.1f} %"
    if not interval:
        return text
    low, high = wilson_interval(round(right), samples)
    return f"{text} ({100 * low:.0f} .. {100 * high:.0f})"


def _given(data: Path | None) -> Iterable[str]:
    return () if data is None else ("--data", str(data))


def _run(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "stq_deploy", command, *arguments], check=True)


if __name__ == "__main__":
    main()
