"""`stq-deploy robustness`: attacks a model by a preset and writes JSON, CSV and a page."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._names import DATA_SET, MODEL, PRESET
from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.evaluation.robustness.flags import Flag
    from stq_deploy.evaluation.robustness.summary import Summary


@click.command(context_settings={"show_default": True})
@click.argument("model", type=MODEL)
@click.option("--preset", type=PRESET, default="quick", help="quick, community, paper, fig5, or a .toml file of yours.")
@click.option("--samples", "limit", type=click.IntRange(min=1), help="How many samples.  [default: the preset's]")
@click.option("--dataset", type=DATA_SET, default="cifar10", help="Attack test samples of this data set.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--sample-file", type=click.Path(path_type=Path), help="Attack the samples of this file (.npz) instead.")
@click.option("--seed", type=click.IntRange(min=0), default=0)
@click.option("--processes", type=click.IntRange(min=1), help="Parts attacked at a time.  [default: one per core]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/robustness"),
    help="Folder of the results. Given again, the command continues where it stopped.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def robustness(
    model: str,
    preset: str,
    limit: int | None,
    dataset: str,
    data: Path | None,
    sample_file: Path | None,
    seed: int,
    processes: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Attack MODEL (a Keras or QKeras model, or zoo:NAME) by a preset; write robustness.json, .csv, .html and samples.

    Each sample counts as right only if it withstands every attack, with every budget up to the one named. The
    integer network sees the same stored pictures as the float model. All figures are upper bounds on robustness.
    """
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.evaluation.robustness.flags import masking_flags
    from stq_deploy.evaluation.robustness.presets import load_preset
    from stq_deploy.evaluation.robustness.record import attacked_job, check_results, write_results
    from stq_deploy.evaluation.robustness.run import run
    from stq_deploy.evaluation.robustness.summary import summarize
    from stq_deploy.files import locked, made_folder, write_whole
    from stq_deploy.report.robustness_page import render_robustness_page
    from stq_deploy.zoo.shipped import resolve_model

    chosen = load_preset(preset)
    name = None if sample_file is not None else dataset
    source, samples = chosen_samples(name, data, sample_file, limit or chosen.samples)
    job = attacked_job(resolve_model(model, keras=True), chosen, samples, seed, out)
    started = time.monotonic()
    check_results(out)
    kept = f"parts that were done are kept in {out}; the same command goes on from there"
    with interruptible(kept), made_folder(out) as folder, locked(folder), progress_bars() as progress:
        shards = run(job, processes or os.cpu_count() or 1, progress)
    seconds = time.monotonic() - started
    summary = summarize(chosen, shards)
    flags = masking_flags(summary, len(job.class_names))
    record = write_results(job, chosen, preset, source, shards, summary, flags, seconds, sys.argv[1:])
    page = out / "robustness.html"
    write_whole(page, render_robustness_page(job, chosen, source, shards, summary, flags, record))
    if as_json:
        print_json(record)
        return
    console = result_console(as_json)
    _print(console, summary, flags)
    console.print(f"Results: {page}", soft_wrap=True)


def _print(console: Console, summary: Summary, flags: tuple[Flag, ...]) -> None:
    from rich import box
    from rich.table import Table

    console.print(f"Clean: float {summary.clean}, integer {summary.integer_clean}, {summary.samples} samples")
    for series in summary.series:
        table = Table(title=f"{series.name}: still right after each attack", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("budget")
        for attack in series.rows[0].attacks:
            table.add_column(attack.attack, justify="right")
        table.add_column("worst case", justify="right")
        table.add_column("integer", justify="right")
        for row in series.rows:
            counts = [str(a.left if a.alone is None else a.alone) for a in row.attacks]
            table.add_row(row.eps, *counts, str(row.worst), f"{100 * row.integer.share:.1f} %")
        console.print(table)
    for flag in flags:
        mark = {True: "[bold]sign of masking[/bold]", False: "fine", None: "not looked at"}[flag.raised]
        console.print(f"{flag.name}: {mark}. {flag.text}")
