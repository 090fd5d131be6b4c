"""`stq-deploy robustness`: attacks a model by a preset and writes JSON, CSV and a page."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._attacks import checked_source_range, chosen_defence, source_range_option, threshold_option
from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import BOARD, DATA_SET, MODEL, PRESET
from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.common.progress import Progress
    from stq_deploy.evaluation.robustness.device import DeviceChoice, OnDevice
    from stq_deploy.evaluation.robustness.flags import Flag
    from stq_deploy.evaluation.robustness.presets import Preset
    from stq_deploy.evaluation.robustness.record import RobustnessRecord
    from stq_deploy.evaluation.robustness.run import Job
    from stq_deploy.evaluation.robustness.summary import Summary


@click.command(context_settings={"show_default": True})
@click.argument("models", type=MODEL, nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--preset", type=PRESET, default="quick", help="quick, community, paper, fig5, device, or a .toml file of yours."
)
@click.option("--samples", "limit", type=click.IntRange(min=1), help="How many samples.  [default: the preset's]")
@click.option("--dataset", type=DATA_SET, default="cifar10", help="Attack test samples of this data set.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--sample-file", type=click.Path(path_type=Path), help="Attack the samples of this file (.npz) instead.")
@click.option("--seed", type=click.IntRange(min=0), default=0)
@click.option("--from", "source_model", type=MODEL, help="Also attack by transfer from this model.")
@source_range_option
@click.option("--defence", help="Defend the model: rnd:SIGMA, fresh noise of SIGMA input levels for every answer.")
@click.option("--eot", type=click.IntRange(1, 1000), default=1, help="Noisy answers averaged for each question.")
@click.option("--processes", type=click.IntRange(min=1), help="Parts attacked at a time.  [default: one per core]")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local",
    help="Where parts are attacked: on this computer, or on the Ray cluster of $RAY_ADDRESS.",
)  # fmt: skip
@click.option("--board", type=BOARD, default="stm32h743", help="Board for the preset device.")
@click.option("--port", help="Serial port of a board that runs the build.  [default: emulated boards]")
@click.option("--boards", type=click.IntRange(1, 64), help="How many emulated boards.  [default: one per core]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/robustness"),
    help="Folder of the results. Run again, the command continues where it stopped.",
)  # fmt: skip
@threshold_option
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def robustness(
    models: tuple[str, ...],
    preset: str,
    limit: int | None,
    dataset: str,
    data: Path | None,
    sample_file: Path | None,
    seed: int,
    source_model: str | None,
    source_range: tuple[float, float] | None,
    defence: str | None,
    eot: int,
    processes: int | None,
    engine: str,
    board: str,
    port: str | None,
    boards: int | None,
    out: Path,
    threshold: float | None,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Attack MODEL (a Keras or QKeras model, or zoo:NAME) by a preset; write robustness.json, .csv, .html and samples.

    With several models, each has a folder of its own in OUT, and OUT/sweep.csv has the rows of all. With --engine ray,
    all parts of all models are attacked side by side. The preset device streams the worst samples to a board, and
    attacks the board itself. Each output must equal the reference's, and each query and answer the host twin's.

    Each sample counts as right only if it withstands every attack, with every budget up to the one named. The
    integer network sees the same stored pictures as the float model. All figures are upper bounds on robustness.

    With --defence the attacks meet fresh noise in every answer. The column "fresh noise" is then what counts: the
    integer network under draws that no attack has seen.
    """
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import locked, made_folder, write_whole
    from stq_deploy.evaluation.engines import ENGINES
    from stq_deploy.evaluation.robustness.device import DeviceChoice
    from stq_deploy.evaluation.robustness.on_engine import attack_on_engine
    from stq_deploy.evaluation.robustness.presets import load_preset
    from stq_deploy.evaluation.robustness.record import attacked_job, check_results, check_sweep, sweep_csv
    from stq_deploy.zoo.shipped import resolve_model

    noise = chosen_defence(defence, eot)
    chosen = _with_source(load_preset(preset), source_model)
    if noise is not None and chosen.device is not None:
        raise StqError("a board draws no noise yet", next="leave --defence out, or choose a preset without a board")
    if chosen.device is None and (port is not None or boards is not None):
        raise StqError(
            "--port and --boards are for a preset with a board, and this one has none",
            next="choose --preset device, or leave them out",
        )
    name = None if sample_file is not None else dataset
    source, samples = chosen_samples(name, data, sample_file, limit or chosen.samples)
    helper = None if source_model is None else resolve_model(source_model, keras=True)
    folders = _folders(models, out)
    asked, said_range = conversion.load(), checked_source_range(source_model, source_range)
    jobs = [
        attacked_job(
            model, chosen, samples, seed, folder, noise, helper, conversion=asked, source_range=said_range,
            threshold=threshold,
        )
        for model, folder in folders.items()
    ]  # fmt: skip
    for job in jobs:
        check_results(job)
    if len(jobs) > 1:
        check_sweep(out / "sweep.csv")
    records = []
    kept = f"parts that were done are kept in {out}; the same command goes on from there"
    with interruptible(kept), made_folder(out) as folder, locked(folder), progress_bars() as progress:
        if engine != "local":
            attack_on_engine(jobs, ENGINES[engine], progress)
        for job in jobs:
            place = DeviceChoice(board, port, boards)
            records.append(_attacked(job, preset, source, place, processes or os.cpu_count() or 1, progress, as_json))
        if len(jobs) > 1:
            write_whole(out / "sweep.csv", sweep_csv(job.folder.parent for job in jobs))
    if as_json:
        written = [record.to_json() for record in records]
        print_json(written[0] if len(written) == 1 else {"models": written})
    elif len(jobs) > 1:
        result_console(as_json).print(f"All rows: {out / 'sweep.csv'}", soft_wrap=True)


def _folders(models: tuple[str, ...], out: Path) -> dict[Path, Path]:
    """The file of each model, and the folder of its results.

    Raises:
        StqError: two models would have the same folder.
    """
    from stq_deploy.common.errors import StqError
    from stq_deploy.zoo.shipped import resolve_model

    paths = [resolve_model(model, keras=True) for model in models]
    if len(paths) == 1:
        return {paths[0]: out}
    folders = {path: out / path.stem for path in paths}
    if len(set(folders.values())) < len(paths):
        raise StqError(
            "two of the models have one name, so that their results would have one folder",
            where=", ".join(map(str, paths)),
            next="rename one, or attack them one after the other with another --out",
        )
    return folders


def _attacked(
    job: Job, preset: str, source: str, place: DeviceChoice, processes: int, progress: Progress, as_json: bool
) -> RobustnessRecord:
    """Attack one model, write its results, and print them; returns the record."""
    from stq_deploy.cli._screen import result_console
    from stq_deploy.common.files import write_whole
    from stq_deploy.common.progress import stage
    from stq_deploy.evaluation.robustness.device import run_on_device
    from stq_deploy.evaluation.robustness.flags import masking_flags
    from stq_deploy.evaluation.robustness.record import (
        RobustnessRecord,
        clean_samples,
        cost,
        worst_files,
        write_results,
    )
    from stq_deploy.evaluation.robustness.run import measured_layers, run
    from stq_deploy.evaluation.robustness.summary import summarize
    from stq_deploy.report.robustness_page import render_robustness_page

    out, chosen = job.folder.parent, job.preset
    _say_assumed(job)
    started = time.monotonic()
    shards = run(job, processes, progress)
    device = None
    if chosen.device is not None:
        files, clean = worst_files(job, shards), clean_samples(job)
        device = run_on_device(
            job.model, chosen.device, clean, files, out, place=place, seed=job.seed, conversion=job.conversion,
            threshold=job.threshold, progress=progress,
        )  # fmt: skip
    seconds = time.monotonic() - started
    summary = summarize(chosen, shards)
    flags = masking_flags(summary, len(job.class_names))
    with stage(progress, "measuring the layers' sensitivity"):
        layers = measured_layers(job)
    record = RobustnessRecord(
        job, chosen, preset, source, summary, tuple(flags), seconds, tuple(sys.argv[1:]), cost(chosen, shards),
        tuple(layers), device,
    )  # fmt: skip
    write_results(record, shards)
    page = out / "robustness.html"
    write_whole(page, render_robustness_page(record, shards))
    if not as_json:
        console = result_console(as_json)
        _print(console, summary, flags)
        if device is not None:
            _print_device(console, device)
        console.print(f"Results: {page}", soft_wrap=True)
    return record


def _say_assumed(job: Job) -> None:
    """Print where pixels in [0, 1] were assumed, for the model and for the source."""
    from stq_deploy.cli._input import say_assumed_pixels
    from stq_deploy.evaluation.robustness.record import clean_samples
    from stq_deploy.evaluation.robustness.run import opened_models

    samples = clean_samples(job)
    model, source = opened_models(job)
    say_assumed_pixels(model, samples)
    if source is not None:
        say_assumed_pixels(source, samples, "--from-input-range says")


def _print_device(console: Console, device: OnDevice) -> None:
    from stq_deploy.cli._screen import plain

    kind = "emulated " if device.emulated else ""
    for one in device.streamed:
        console.print(plain(f"{one.name}: {kind}{device.board} right {one.right}"), soft_wrap=True)
    total = sum(one.right.total for one in device.streamed)
    console.print(f"Each output of all {total} samples equals the integer reference's.")
    for live in device.live:
        console.print(
            f"{live.attack.title}, live: the board right {live.clean} clean, {live.left} attacked; "
            f"{len(live.attacked.log)} queries, every one and its answer equal to the host twin's",
            soft_wrap=True,
        )


def _with_source(preset: Preset, source: str | None) -> Preset:
    from stq_deploy.common.errors import StqError

    if source is not None:
        return preset.with_transfer()
    if preset.needs_source:
        raise StqError("the preset attacks by transfer from another model", next="name it: --from MODEL")
    return preset


def _print(console: Console, summary: Summary, flags: tuple[Flag, ...]) -> None:
    from rich import box
    from rich.table import Table

    from stq_deploy.evaluation.robustness.summary import mean_share

    if summary.fresh_clean:
        share = f"{100 * mean_share(summary.fresh_clean):.1f} %"
        console.print(f"Clean, integer, mean of {len(summary.fresh_clean)} draws of fresh noise: {share}")
    console.print(f"Clean: float {summary.clean}, integer {summary.integer_clean}, {summary.samples} samples")
    for series in summary.series:
        table = Table(title=f"{series.name}: still right after each attack", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("budget")
        for attack in series.rows[0].attacks:
            table.add_column(attack.attack, justify="right")
        table.add_column("worst case", justify="right")
        table.add_column("integer", justify="right")
        if series.rows[0].fresh:
            table.add_column("fresh noise", justify="right")
        for row in series.rows:
            counts = [str(a.left if a.alone is None else a.alone) for a in row.attacks]
            fresh = [f"{100 * row.fresh_mean:.1f} %"] if row.fresh else []
            table.add_row(row.eps, *counts, str(row.worst), f"{100 * row.integer.share:.1f} %", *fresh)
        console.print(table)
    for flag in flags:
        mark = {True: "[bold]sign of masking[/bold]", False: "fine", None: "not looked at"}[flag.raised]
        console.print(f"{flag.name}: {mark}. {flag.text}")
