"""What a robustness run leaves: robustness.json, robustness.csv, and the worst picture of every sample."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, check_output, is_record, read_bounded, write_whole
from stq_deploy.common.intervals import wilson_interval
from stq_deploy.datasets.sample_metadata import AttackRecord, SampleMetadata
from stq_deploy.datasets.samples import SampleSet, is_own_sample_file, load_samples, save_samples
from stq_deploy.evaluation.board_run import SampleFile
from stq_deploy.evaluation.float_model_file import model_output
from stq_deploy.evaluation.robustness.device import OnDevice
from stq_deploy.evaluation.robustness.flags import Flag
from stq_deploy.evaluation.robustness.presets import Preset, Series
from stq_deploy.evaluation.robustness.run import Job, as_json
from stq_deploy.evaluation.robustness.sensitivity import REPORTED_EPS, REPORTED_SAMPLES, Sensitivity
from stq_deploy.evaluation.robustness.shard import Shard
from stq_deploy.evaluation.robustness.summary import Summary
from stq_deploy.evaluation.task import check_attackable, stated_classes
from stq_deploy.frontend.model_file import open_model_file
from stq_deploy.network.input_format import unit_interval
from stq_deploy.pipeline import Conversion
from stq_deploy.research.attacks.craft import versions
from stq_deploy.research.attacks.defence import RandomNoise
from stq_deploy.research.attacks.grid import PIXELS

FORMAT = "stq-robustness"
CSV_COLUMNS = (
    "series", "norm", "eps", "attack", "right", "samples", "low95", "high95", "alone", "alone_low95", "alone_high95",
)  # fmt: skip
"""`right` counts after the attack and all before it. `alone` is after the attack by itself, and empty elsewhere."""
_WORST = "worst case"
"""Beginning of the attack's name in files of worst pictures."""
BOUND = "These figures are an upper bound on robustness, not a guarantee: a stronger attack may break more."


def attacked_job(
    model: Path,
    preset: Preset,
    samples: SampleSet,
    seed: int,
    out: Path,
    defence: RandomNoise | None = None,
    source: Path | None = None,
    *,
    conversion: Conversion | None = None,
    source_range: tuple[float, float] | None = None,
    threshold: float | None = None,
) -> Job:
    """The run of these samples; shards are kept in `out`. The other arguments are those of `Job`.

    Raises:
        StqError: the samples are features or have no classes, the model cannot be read or gives no classes, or the
            threshold does not fit it.
    """
    if samples.holds_features:
        raise StqError(
            "the samples are features, and the presets' budgets are of pixels",
            next="attack features with `stq-deploy attack --unit std`",
        )
    x = PIXELS.nearest(unit_interval(samples.x))
    y = samples.classes()
    file = open_model_file(model)
    output = model_output(file)
    check_attackable(output)
    stated_classes(output, threshold)
    # The labels may hold fewer classes: chance would then be too high for the flag that compares with it.
    names = samples.class_names or [str(c) for c in range(max(output.channels, 2))]
    digest = file.facts.sha256
    of_source = "" if source is None else open_model_file(source).facts.sha256
    return Job(
        model, digest, preset, x, y, tuple(map(str, names)), seed, out / "shards", defence, source, of_source,
        conversion, source_range, threshold,
    )  # fmt: skip


def check_results(job: Job) -> None:
    """Refuse, before anything runs, a folder whose files of the run's names no such run wrote.

    Raises:
        StqError: naming the file.
    """
    folder, what = job.folder.parent, "the result of such a run"
    record = folder / "robustness.json"
    for name in ("robustness.json", "robustness.csv", "robustness.html"):
        check_output(folder / name, what=what, recognize=lambda _: is_record(record, FORMAT), force_option=False)
    for series in job.preset.series:
        for eps in series.eps:
            check_output(folder / series.file(eps), what=what, recognize=_is_worst_file, force_option=False)
    for step in job.preset.device.live if job.preset.device else ():
        check_output(folder / step.file, what=what, recognize=_is_live_file, force_option=False)


def check_sweep(path: Path) -> None:
    """Refuse, before anything runs, to replace a file that is not the rows of a former run over several models.

    Raises:
        StqError: it is another file.
    """
    check_output(path, what="the rows of such a run", recognize=_is_sweep, force_option=False)


def _is_sweep(path: Path) -> bool:
    try:
        return read_bounded(path, MAXIMUM_JSON_BYTES).startswith("model,series,norm,eps,attack,")
    except (OSError, ValueError, StqError):
        return False


def _is_worst_file(path: Path) -> bool:
    try:
        return is_own_sample_file(path) and load_samples(path).attack.startswith(_WORST)
    except StqError:
        return False


def _is_live_file(path: Path) -> bool:
    try:
        return is_own_sample_file(path) and load_samples(path).metadata.states_live
    except StqError:
        return False


@dataclass(frozen=True)
class SeriesCost:
    """What the attacks of a series cost, in CPU-seconds per sample.

    Attributes:
        all: all of them together.
        by_attack: title of an attack -> its part.
        by_budget: budget -> its part.
    """

    all: float
    by_attack: Mapping[str, float]
    by_budget: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class RobustnessRecord:
    """What robustness.json holds.

    Attributes:
        job, preset, preset_name, source: what was attacked, by which attacks, on which samples.
        summary, flags: what stands, and signs of masking.
        seconds: time of the run.
        command: the command line, without the program's name.
        cost: series -> its cost; empty where no shard was timed.
        layers: sensitivity of each layer.
        device: what a board answered, if one took part.
    """

    job: Job
    preset: Preset
    preset_name: str
    source: str
    summary: Summary
    flags: tuple[Flag, ...]
    seconds: float
    command: tuple[str, ...]
    cost: Mapping[str, SeriesCost]
    layers: tuple[Sensitivity, ...]
    device: OnDevice | None

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        job = self.job
        return {
            "format": FORMAT,
            "model": job.model.name,
            "model_sha256": job.model_sha256,
            "preset": {"name": self.preset_name, **self.preset.model_dump(mode="json", by_alias=True)},
            "source": self.source,
            "seed": job.seed,
            "seconds": round(self.seconds, 1),
            "command": list(self.command),
            "versions": versions(),
            "cpu_seconds_a_sample": {name: as_json(cost) for name, cost in self.cost.items()},
            "defence": None if job.defence is None else job.defence.to_json(),
            "reading": as_json(job.reading),
            "source_model": None if job.source is None else {"name": job.source.name, "sha256": job.source_sha256},
            "flags": as_json(self.flags),
            "bound": BOUND,
            "sensitivity": {
                "samples": min(REPORTED_SAMPLES, len(job.x)),
                "eps": REPORTED_EPS,
                "ans": "mean of |a(attacked) - a(clean)|_2 / |a(clean)|_2, one step of FGSM",
                "layers": as_json(self.layers),
            },
            "device": None if self.device is None else self.device.to_json(),
            **as_json(self.summary),
        }


def write_results(record: RobustnessRecord, shards: Sequence[Shard]) -> None:
    """Write robustness.json, robustness.csv and the worst pictures into the folder above the shards."""
    out = record.job.folder.parent
    write_whole(out / "robustness.json", json.dumps(record.to_json(), indent=1) + "\n")
    write_whole(out / "robustness.csv", _csv(record.summary, record.device))
    for file in worst_files(record.job, shards):
        save_samples(file.samples, out / file.name)


def worst_files(job: Job, shards: Sequence[Shard]) -> list[SampleFile]:
    """The worst pictures by series and budget, as sample files."""
    return [
        SampleFile(series.file(eps), _worst(job, shards, series, b))
        for series in job.preset.series
        for b, eps in enumerate(series.eps)
    ]


def clean_samples(job: Job) -> SampleSet:
    """The samples before any attack."""
    metadata = SampleMetadata(class_names=tuple(job.class_names))
    return SampleSet(np.rint(job.x * 255).astype(np.uint8), job.y, metadata)


def cost(preset: Preset, shards: Sequence[Shard]) -> dict[str, SeriesCost]:
    """What the attacks of each series cost: CPU-seconds over the samples of the shards that were timed."""
    shards = [shard for shard in shards if all(one.seconds.size for one in shard.series.values())]
    if not shards:
        return {}
    samples = sum(len(shard.numbers) for shard in shards)
    found = {}
    for series in preset.series:
        seconds = sum(shard.series[series.name].seconds for shard in shards) / samples
        by_attack: dict[str, float] = {}
        for title, spent in zip(series.titles, np.sum(seconds, axis=0), strict=True):
            by_attack[title] = round(float(spent), 4)
        by_budget = dict(zip(series.eps, (round(float(s), 4) for s in np.sum(seconds, axis=1)), strict=True))
        found[series.name] = SeriesCost(round(float(np.sum(seconds)), 4), by_attack, by_budget)
    return found


def _worst(job: Job, shards: Sequence[Shard], series: Series, b: int) -> SampleSet:
    pictures = np.concatenate([shard.series[series.name].worst[b] for shard in shards])
    rounded = "" if series.storage == "uint8" else "; then rounded to pixels of 8 bits, which can leave that budget"
    attack = AttackRecord(
        name=f"{_WORST} {series.name} {series.eps[b]}",
        threat_model=f"untargeted; the worst of all attacks of the series; L{series.norm} {series.eps[b]}{rounded}",
    )
    metadata = SampleMetadata(attack=attack, seed=job.seed)
    return SampleSet(np.rint(pictures * 255).astype(np.uint8), job.y, metadata)


def sweep_csv(folders: Iterable[Path]) -> str:
    """The rows of several runs' robustness.csv, each with its model's name before it."""
    lines: list[str] = []
    for folder in folders:
        head, *rows = (folder / "robustness.csv").read_text(encoding="utf-8").splitlines()
        lines = lines or [f"model,{head}"]
        name = '"' + folder.name.replace('"', '""') + '"'
        lines += [f"{name},{row}" for row in rows]
    return "\n".join(lines) + "\n"


def _csv(summary: Summary, device: OnDevice | None) -> str:
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)

    def interval(right: int, samples: int) -> list[str]:
        return [f"{end:.4f}" for end in wilson_interval(right, samples)]

    def write(
        series: str, norm: str, eps: str, attack: str, right: int, samples: int = summary.samples,
        alone: int | None = None,
    ) -> None:  # fmt: skip
        own = ["", "", ""] if alone is None else [alone, *interval(alone, samples)]
        rows.writerow([series, norm, eps, attack, right, samples, *interval(right, samples), *own])

    write("", "", "0", "clean, float", summary.clean.correct)
    write("", "", "0", "clean, integer", summary.integer_clean.correct)
    for draw, drawn in enumerate(summary.fresh_clean, 1):
        write("", "", "0", f"clean, integer, fresh noise, draw {draw}", drawn.correct)
    for series in summary.series:
        for row in series.rows:
            for attack in row.attacks:
                write(series.name, series.norm, row.eps, attack.attack, attack.left, alone=attack.alone)
            write(series.name, series.norm, row.eps, "worst case, float", row.worst.correct)
            write(series.name, series.norm, row.eps, "worst case, integer", row.integer.correct)
            if series.storage != "uint8":
                write(series.name, series.norm, row.eps, "worst case, rounded to pixels", row.rounded.correct)
            for draw, drawn in enumerate(row.fresh, 1):
                name = f"worst case, integer, fresh noise, draw {draw}"
                write(series.name, series.norm, row.eps, name, drawn.correct)
    if device is not None:
        for one in device.streamed:
            write("device", "", "", f"{one.name}, board", one.right.correct, one.right.total)
        for live in device.live:
            eps = f"{live.attack.eps:.6g}"
            write("device", live.attack.norm, eps, f"{live.attack.title}, live", live.left.correct, live.left.total)
    return stream.getvalue()
