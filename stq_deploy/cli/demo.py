"""`stq-deploy demo`: the main job in one command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._names import BOARD
from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.api.network import IntegerNetwork
    from stq_deploy.common.progress import Progress
    from stq_deploy.evaluation.board_run import SampleFile
    from stq_deploy.evaluation.demo import Demo
    from stq_deploy.evaluation.scores import Score
    from stq_deploy.targets.boards import Board

FRESH_ATTACKS: dict[str, dict[str, str]] = {
    "fgsm": {},
    "pgd": {},
    "square": {"max_iter": "300"},
    "worst": {"max_iter": "20", "restarts": "1", "queries": "300"},
}
"""Attacks of --from-keras; Square with fewer queries than for the shipped samples, to keep the demo short."""


@click.command(context_settings={"show_default": True})
@click.option("--samples", "limit", type=click.IntRange(min=1), default=32, help="Samples of each kind on the board.")
@click.option("--from-keras", is_flag=True, help="Start from the QKeras file: convert, attack again. Needs TensorFlow.")
@click.option("--board", "board_name", type=BOARD, default="stm32h743", help="Board.")
@click.option("--port", help="Serial port of a real board that runs the build.")
@click.option("--emulated", is_flag=True, help="Use emulated boards; this is what happens without --port.")
@click.option("--boards", type=click.IntRange(1, 64), help="How many emulated boards.  [default: one per core]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/demo"),
    help="Folder for build, results and report.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def demo(
    limit: int,
    from_keras: bool,
    board_name: str,
    port: str | None,
    emulated: bool,
    boards: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Build the shipped network, run it on a board, and compare.

    Builds the STQ CIFAR-10 network for the board, boots that ELF on emulated boards (or, with --port, uses a
    real one), streams clean and adversarial samples over the serial port, and compares float model, integer
    reference and board. Exit code 1 if the board differs from the reference.

    The shipped robust network then runs on emulated boards, on its own clean and worst-case samples.
    """
    import os

    from stq_deploy.cli._result_tables import print_costs
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.evaluation.demo import run_demo
    from stq_deploy.report.write import build_pages, check_reports, write_reports
    from stq_deploy.targets.boards import load_board
    from stq_deploy.zoo.shipped import DEFAULT_MODEL, ROBUST_MODEL

    if emulated and port:
        raise StqError("which board?", next="give either --port PORT, or --emulated")
    board = load_board(board_name)
    check_reports(out)
    kept = f"what is done so far is kept in {out}; the next demo starts again"
    with interruptible(kept), made_folder(out) as folder, locked(folder), progress_bars() as progress:
        net, files = _from_keras(limit, out, progress) if from_keras else _shipped()
        found = run_demo(
            net.program,
            board,
            files,
            out,
            port=port,
            boards=boards or os.cpu_count() or 1,
            limit=limit,
            progress=progress,
            pages=build_pages(),
        )
        report = write_reports(found, out)
        robust = _robust(board, out, boards or os.cpu_count() or 1, limit, progress) if port is None else None
    screen = result_console(as_json)
    _print(screen, found, DEFAULT_MODEL)
    if robust is not None:
        _print(screen, robust, ROBUST_MODEL)
    print_costs(screen, found.summary)
    screen.print(f"Report: {report}", soft_wrap=True)
    if as_json:
        beside = {} if robust is None else {"robust": robust.to_json()}
        print_json(found.to_json() | beside | {"report": str(report)})
    sys.exit(0 if found.agrees and (robust is None or robust.agrees) else 1)


def _robust(board: Board, out: Path, boards: int, limit: int, progress: Progress) -> Demo | None:
    """The robust network on emulated boards, in a folder of its own; None if none comes with the package."""
    from stq_deploy.api.network import load
    from stq_deploy.common.files import made_folder
    from stq_deploy.evaluation.board_run import SampleFile
    from stq_deploy.evaluation.demo import run_demo
    from stq_deploy.report.write import build_pages, check_reports, write_reports
    from stq_deploy.zoo.shipped import ROBUST_MODEL, robust_samples

    samples = robust_samples()
    if not samples:
        return None
    folder = out / "robust"
    check_reports(folder)
    files = [SampleFile.load(path) for path in samples.values()]
    with made_folder(folder):
        found = run_demo(
            load(ROBUST_MODEL).program, board, files, folder, port=None, boards=boards, limit=limit,
            progress=progress, pages=build_pages(),
        )  # fmt: skip
        write_reports(found, folder)
    return found


def _shipped() -> tuple[IntegerNetwork, list[SampleFile]]:
    """The shipped network and samples; no TensorFlow."""
    from stq_deploy.api.network import load
    from stq_deploy.evaluation.board_run import SampleFile
    from stq_deploy.zoo.shipped import DEFAULT_MODEL, shipped_samples

    files = [SampleFile.load(path) for path in shipped_samples().values()]
    return load(DEFAULT_MODEL), files


def _from_keras(limit: int, out: Path, progress: Progress) -> tuple[IntegerNetwork, list[SampleFile]]:
    """The shipped QKeras model converted now, and the shipped clean samples attacked now."""
    from functools import partial

    from stq_deploy.api.network import open_network
    from stq_deploy.common.progress import stage
    from stq_deploy.datasets.samples import CLEAN, load_samples, save_samples
    from stq_deploy.evaluation.board_run import SampleFile
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.pipeline import Pipeline
    from stq_deploy.research.attacks.craft import Target, craft
    from stq_deploy.research.attacks.registry import get_attack
    from stq_deploy.zoo.shipped import DEFAULT_MODEL, shipped_samples

    net = open_network(DEFAULT_MODEL, Pipeline(progress=progress), keras=True)
    with stage(progress, "loading the float model"):
        model = FloatModel(net.source)
    target = Target(model.keras, model.name, model.file_sha256, net.network.input_format, net.model_hash)
    clean = load_samples(shipped_samples()[CLEAN]).first(limit)
    attacks = {CLEAN: None} | {name: get_attack(name).from_text(s) for name, s in FRESH_ATTACKS.items()}
    files = []
    for name, attack in attacks.items():
        made = craft(target, clean, attack, progress=partial(_advance, progress, name, len(clean)))
        save_samples(made, out / "samples" / f"{name}.npz")
        files.append(SampleFile(f"{name}.npz", made))
    return net, files


def _advance(progress: Progress, name: str, total: int, done: int) -> None:
    progress(f"attacking: {name}", done, total)


def _print(console: Console, found: Demo, model: str) -> None:

    from stq_deploy.cli._layout import light_table, print_table
    from stq_deploy.cli._screen import plain
    from stq_deploy.report.titles import row_title

    on_board = max(len(one.samples) for one in found.summary.comparisons)
    everything = max(score.samples for score in found.host)
    scores = [one.board_score for one in found.summary.comparisons if one.board_score is not None]
    what = scores[0].metric.capitalize() if scores else "Outputs, not scored (no labels),"
    table = light_table(
        f"{plain(model)}: {what} on {on_board} samples of each kind on the board, {everything} on the host"
    )
    intervals = ["Wilson 95 %\ninterval"] if any(score.interval is not None for score in scores) else []
    table.add_column("samples")
    for column in (
        "float", "integer\nreference", "board", *intervals, "board !=\nreference",
        f"float,\nall {everything}", f"host C,\nall {everything}", "host !=\nfloat",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for one, score in zip(found.summary.comparisons, found.host, strict=True):
        table.add_row(
            plain(row_title(one)),
            _figure(one.float_score),
            _figure(one.reference_score),
            _figure(one.board_score),
            *([_interval(one.board_score)] if intervals else []),
            str(len(one.differing_predictions)),
            _figure(score.float_score),
            _figure(score.score),
            "?" if score.mismatches is None else str(score.mismatches),
        )
    print_table(console, table)
    layers = found.layers
    console.print(
        f"Differing layers: {layers.differing_layers} of {len(layers.rows)} "
        f"({layers.reference}, {', '.join(layers.executors)}; {layers.samples} samples)."
    )


def _figure(score: Score | None) -> str:
    """A share that has an interval in percent; any other score, such as an error, as it is."""
    if score is None or score.figure is None:
        return "?"
    return str(score) if score.interval is None else f"{100 * score.figure:.1f} %"


def _interval(score: Score | None) -> str:
    interval = None if score is None else score.interval
    return "" if interval is None else f"{100 * interval[0]:.1f} .. {100 * interval[1]:.1f}"
