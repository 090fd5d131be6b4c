"""`stq-deploy run`: samples over the link to a board, real or emulated."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._kernels import KernelOptions, kernel_option
from stq_deploy.cli._names import BOARD, MODEL
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._task import task_options

if TYPE_CHECKING:
    from stq_deploy.evaluation.board_run import FloatAnswers
    from stq_deploy.evaluation.task import Stated
    from stq_deploy.frontend.importer import ModelSource


@click.command(context_settings={"show_default": True})
@click.option("--board", "board_name", type=BOARD, default="stm32h743", help="Board; `stq-deploy boards` lists them.")
@click.option("--model", type=MODEL, default="zoo:stq-cifar10", help="A .stq network, a Keras model, or zoo:NAME.")
@click.option("--port", help="Serial port of a board that runs the build.")
@click.option("--emulated", is_flag=True, help="Run the build on emulated boards instead.")
@click.option("--boards", type=click.IntRange(1, 64), help="How many emulated boards.  [default: one per core]")
@click.option(
    "--samples",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Sample file (.npz); may be given several times.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples of each file.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for results and report. A build in it, or in build/BOARD, is used; else one is made in it.  "
    "[default: out/BOARD]",
)
@kernel_option
@task_options
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def run(
    board_name: str,
    model: str,
    port: str | None,
    emulated: bool,
    boards: int | None,
    paths: tuple[Path, ...],
    limit: int | None,
    out: Path | None,
    kernels: KernelOptions,
    stated: Stated,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Stream samples to a board and score its outputs.

    Every result is appended to a file in OUT/results as it arrives: an interrupted run continues where
    it stopped. Then the board is compared with the integer reference and the float model on the same samples;
    OUT/run.json and OUT/report.html have all results. Every output level of every sample must equal the reference's.
    Otherwise an error names the samples, and the exit code is 1.
    """
    import os

    from stq_deploy.api.firmware import find_or_build
    from stq_deploy.api.network import open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.cli._result_tables import print_costs, print_results
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.evaluation.board_run import SampleFile, run_files
    from stq_deploy.executors.firmware import held_build
    from stq_deploy.frontend.importer import half_precision_note
    from stq_deploy.pipeline import Pipeline
    from stq_deploy.report.write import check_reports, write_reports
    from stq_deploy.targets.boards import load_board

    if emulated == (port is not None):
        raise StqError("which board?", next="give either --port PORT, or --emulated")
    board = load_board(board_name)
    files = [SampleFile.load(path) for path in paths]
    asked = conversion.load()
    folder = out or Path("out") / board.name
    check_reports(folder)
    kept = f"the results so far are kept in {folder / 'results'}; the same command goes on from there"
    with interruptible(kept), ExitStack() as held:
        held.enter_context(locked(held.enter_context(made_folder(folder))))
        progress = held.enter_context(progress_bars())
        net = open_network(model, kernels.applied(Pipeline(asked, progress=progress)))
        say_assumed_input(net.network)
        firmware = find_or_build(net, board.name, folder, progress=progress)
        held.enter_context(held_build(firmware, folder))
        summary = run_files(
            board,
            firmware,
            files,
            folder,
            port=port,
            boards=boards or os.cpu_count() or 1,
            limit=limit,
            float_answers=_float_answers(net.source),
            stated=stated,
            progress=progress,
        )
        report = write_reports(summary, folder)
    screen = result_console(as_json)
    print_results(screen, summary)
    note = half_precision_note(net.source)
    if note:
        screen.print(f"note: {note}", soft_wrap=True, markup=False)
    print_costs(screen, summary)
    screen.print(f"Report: {report}", soft_wrap=True)
    if as_json:
        print_json(summary.to_json() | {"report": str(report)})
    sys.exit(0 if summary.agrees else 1)


def _float_answers(source: ModelSource) -> FloatAnswers | None:
    """The float model, for files without its predictions; loaded on first use."""
    from functools import cache

    from stq_deploy.evaluation.float_engine import open_float_model
    from stq_deploy.frontend.model_file import ModelFile

    if not isinstance(source, ModelFile):  # a .stq network holds no float model
        return None
    load = cache(lambda: open_float_model(source))
    return lambda scoring, values: load().answers(scoring, values)
