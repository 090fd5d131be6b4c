"""Accuracy against time: the strided STQ network with fewer and fewer weights that are not zero, on gray CIFAR-10.

    ./tools/sparsity_curve --state FOLDER [--twin MODEL] [--only TARGET]

Each point is a training of its own by the recipe `quantized` with `sparsity`, from the same floating-point twin. The
trainings are short, so the figures compare with each other and not with those of other pages. The time is the estimate
that `stq-deploy profile` prints. Interrupted, the same command continues. The figures go to docs/figures/sparsity.json
and sparsity.svg, and the table to docs/TRAINING.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.files import write_whole
from stq_deploy.common.intervals import wilson_interval
from tools.figures_file import write_figures
from tools.marked_block import replace_block

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES = DOCS / "figures" / "sparsity.json"
PICTURE = DOCS / "figures" / "sparsity.svg"
PAGE = DOCS / "TRAINING.md"
BLOCK = "sparsity_curve"
BOARD = "stm32h743"
TARGETS = (0.0, 0.7, 0.8, 0.9, 0.95, 0.97)
"""Shares of zeros to ask for; 0: none beyond those that the quantizer gives."""
EPOCHS, TRAIN_LIMIT, RAMP = 4, 24000, 0.6
_TWIN_EPOCHS = 20


@dataclass(frozen=True)
class SparsityPoint:
    """A trained network.

    Attributes:
        target: share of zeros that the recipe asked for.
        correct, samples: test samples that the QKeras model gets right, and all.
        nonzero: share of weights that are not zero, by ternary convolution.
        instructions: of one inference; exact.
        cycles, milliseconds: estimated, of one inference on `BOARD`.
        layers: estimated milliseconds of each layer.
        kernels: C function that runs each of the ternary convolutions.
        epochs, train_samples: of the training.
    """

    target: float
    correct: int
    samples: int
    nonzero: dict[str, float]
    instructions: int
    cycles: int
    milliseconds: float
    layers: dict[str, float]
    kernels: dict[str, str]
    epochs: int
    train_samples: int


@click.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder of the trainings.")
@click.option("--twin", type=click.Path(path_type=Path), help="Floating-point twin to start from; else one is trained.")
@click.option("--data", type=click.Path(path_type=Path), help="As for `stq-deploy train`.")
@click.option("--only", multiple=True, type=float, help="Only this target; repeatable.")
@click.option(
    "--page", "page_only", is_flag=True, help="Only write the table and the picture of the figures there are."
)
def main(state: Path, twin: Path | None, data: Path | None, only: tuple[float, ...], page_only: bool) -> None:
    """Train and profile the points of the curve, and write the figures, the picture and the table."""
    points = read_points(FIGURES)
    for target in () if page_only else only or TARGETS:
        try:
            folder = _trained(target, state, twin or _trained_twin(state, data), data)
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"{target:g}: the command {' '.join(error.cmd[3:])} has failed") from error
        points[target] = measured(target, folder)
        write_figures(FIGURES, {"board": BOARD, "points": [asdict(points[one]) for one in sorted(points)]})
        click.echo(f"{target:g}: {points[target].milliseconds:.2f} ms, {points[target].correct} right")
    ordered = [points[one] for one in sorted(points)]
    if ordered:
        write_whole(PICTURE, chart(ordered))
    write_whole(PAGE, replace_block(PAGE.read_text(), BLOCK, table(ordered)))


def read_points(path: Path) -> dict[float, SparsityPoint]:
    """The points of a file of figures, by target; none if there is no file."""
    if not path.exists():
        return {}
    return {one["target"]: SparsityPoint(**one) for one in json.loads(path.read_text())["points"]}


def _trained_twin(state: Path, data: Path | None) -> Path:
    folder = state / "twin"
    if not (folder / "result.json").is_file():
        _train("--recipe", "fp", "--scheme", "fp", "--epochs", str(_TWIN_EPOCHS), "--out", str(folder), data=data)
    return folder / "model.h5"


def _trained(target: float, state: Path, twin: Path, data: Path | None) -> Path:
    """The folder of a finished training; trains unless that is done."""
    folder = state / f"sparsity-{target}"
    if not (folder / "result.json").is_file():
        _train(
            "--recipe", "quantized", "--scheme", "stq", "--epochs", str(EPOCHS), "--set", f"train_limit={TRAIN_LIMIT}",
            "--set", f"sparsity={target}", "--set", f"sparsity_ramp={RAMP}", "--warm-start", str(twin),
            "--out", str(folder), data=data,
        )  # fmt: skip
    return folder


def _train(*arguments: str, data: Path | None) -> None:
    network = ("--network", "stq", "--variant", "strided", "--dataset", "cifar10", "--resume")
    given = () if data is None else ("--data", str(data))
    command = [sys.executable, "-m", "stq_deploy", "train", *network, *arguments, *given]
    subprocess.run(command, check=True)


def measured(target: float, folder: Path) -> SparsityPoint:
    """Convert, build and profile a training's network."""
    from stq_deploy.cycles.profile import profile_firmware
    from stq_deploy.evaluation.profiling import profiling_sample
    from stq_deploy.executors.firmware import build_afresh
    from stq_deploy.pipeline import convert_model
    from stq_deploy.program import plan_network
    from stq_deploy.targets.boards import load_board

    result = json.loads((folder / "result.json").read_text())
    network = convert_model(folder / "model.h5")
    program = plan_network(network)
    board = load_board(BOARD)
    with tempfile.TemporaryDirectory(prefix="stq-sparsity-") as build:
        firmware = build_afresh(program, board, Path(build) / "build")
        found = profile_firmware(firmware, board, profiling_sample(network, None))
    nonzero = nonzero_shares(network)
    return SparsityPoint(
        target=target,
        correct=round(result["test_accuracy"] * result["test_samples"]),
        samples=result["test_samples"],
        nonzero=nonzero,
        instructions=found.instructions,
        cycles=found.cycles,
        milliseconds=round(found.milliseconds(found.cycles), 4),
        layers={one.layer.name: round(found.milliseconds(one.cycles), 4) for one in found.layers},
        kernels={layer.name: layer.kernel for layer in program.layers if layer.name in nonzero},
        epochs=result["epochs_done"],
        train_samples=result["train_samples"],
    )


def nonzero_shares(network: Any) -> dict[str, float]:
    """Share of weights that are not zero, of each convolution with ternary weights."""
    from stq_deploy.network.ops import Convolve

    ternary = [op for op in network.ops if isinstance(op, Convolve) and np.abs(op.weights.astype(int)).max() <= 1]
    return {op.name: round(float(np.mean(op.weights != 0)), 4) for op in ternary}


def table(points: Sequence[SparsityPoint]) -> str:
    """The table of the page, and the picture."""
    if not points:
        return "No network is trained yet.\n"
    names = list(points[0].nonzero)
    lines = [
        f"| zeros asked for | {' | '.join(f'nonzero, `{name}`' for name in names)} | ms, est. | of it in these layers "
        "| instructions | top-1 |",
        "|---|" + "---|" * (len(names) + 4),
    ]
    lines += [_row(point, names) for point in points]
    one = points[0]
    note = (
        f"The strided STQ network (13.2 M MACs), {one.epochs} epochs of {one.train_samples:,} samples for each row, "
        f"one seed. Top-1 is the QKeras model's on {one.samples:,} test samples, with its 95 % interval. Milliseconds "
        f"are estimates for {BOARD} (docs/PROFILING.md)."
    )
    return "\n".join([note, "", *lines, "", "![Accuracy against estimated time](figures/sparsity.svg)", ""])


def _row(point: SparsityPoint, names: Sequence[str]) -> str:
    low, high = wilson_interval(point.correct, point.samples)
    asked = f"{100 * point.target:g} %" if point.target else "none"
    shares = " | ".join(f"{100 * point.nonzero[name]:.1f} %" for name in names)
    accuracy = f"{100 * point.correct / point.samples:.2f} % ({100 * low:.1f} .. {100 * high:.1f})"
    within = sum(share for name, share in _times(point.layers, names).items())
    return f"| {asked} | {shares} | {point.milliseconds:.2f} | {within:.2f} | {point.instructions:,} | {accuracy} |"


def _times(layers: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: layers[name] for name in names}


def chart(points: Sequence[SparsityPoint]) -> str:
    """Accuracy over estimated milliseconds as an SVG file; bars are the intervals."""
    from stq_deploy.report.charts import quiet
    from stq_deploy.report.inline_svg import SERIES, SOFT, chart_style, inline_svg, label, new_figure, standalone_svg

    with chart_style():
        figure = new_figure(760, 330)
        axes = figure.add_subplot()
        times = [point.milliseconds for point in points]
        shares = [100 * point.correct / point.samples for point in points]
        axes.plot(times, shares, color=SERIES[1], linewidth=1.8)
        for point, time, share in zip(points, times, shares, strict=True):
            low, high = wilson_interval(point.correct, point.samples)
            axes.vlines(time, 100 * low, 100 * high, color=SERIES[1], linewidth=1.3)
            text = f"{100 * point.target:g} % zeros" if point.target else "zeros not asked for"
            label(axes.scatter([time], [share], s=40, c=SERIES[1]), f"{text}: {time:.2f} ms, {share:.2f} %")
            axes.annotate(text, (time, share), (6, -14), textcoords="offset points", color=SOFT, fontsize=10)
        axes.set_xlabel(f"estimated milliseconds of an inference on {BOARD}")
        axes.set_ylabel("top-1, %")
        axes.margins(x=0.12, y=0.25)
        axes.grid(axis="y")
        quiet(axes)
        return standalone_svg(inline_svg(figure, "Accuracy of the strided STQ network against its estimated time"))


if __name__ == "__main__":
    main()
