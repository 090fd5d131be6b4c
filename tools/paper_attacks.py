"""The paper's attacks, cell by cell: one network under one series of a preset at one budget.

Samples are attacked in shards, and each finished shard is kept. So an interrupted run continues, and a run of more
samples takes over those of a smaller one. The results so far can be shown at any time with their count.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.intervals import wilson_interval
from stq_deploy.datasets.samples import SampleSet, samples_of_dataset
from stq_deploy.evaluation.robustness.presets import Preset, Series, load_preset
from stq_deploy.evaluation.robustness.run import Job, network_as_attacked
from stq_deploy.evaluation.robustness.shard import (
    AttackedNetwork,
    JudgeSamples,
    Shard,
    load_shard,
    run_shard,
    save_shard,
)
from stq_deploy.network.input_format import quantize_input, unit_interval
from stq_deploy.research.attacks.craft import versions
from stq_deploy.research.attacks.grid import PIXELS, UNROUNDED, Samples
from stq_deploy.research.attacks.oracle import Labels
from stq_deploy.research.attacks.registry import ATTACKS
from stq_deploy.research.attacks.victim import Victim
from stq_deploy.research.training.result import git_commit
from stq_deploy.zoo.shipped import PREFIX, resolve_model, shipped_models

SHARD = 64
SLOW_SHARD = 16
SLOW = ("boundary", "hopskipjump", "zoo")
"""Attacks that take CPU seconds a sample. With smaller shards, less is lost when a run is stopped."""
COUNTS = (100, 1000)
"""The paper's number of samples, and a larger one with narrower intervals."""


@dataclass(frozen=True)
class Subject:
    """A trained network and the data set whose test samples are attacked.

    Attributes:
        model: `zoo:NAME`, or a model file.
        dataset: as `--dataset` takes it.
        data: its file or folder; None for the usual places.
        most: samples that are drawn; attacks take the first of them.
        label: a name instead of the file's.
    """

    model: str
    dataset: str
    data: Path | None = None
    most: int = COUNTS[-1]
    label: str = ""

    @property
    def name(self) -> str:
        """For tables and folders."""
        if self.label:
            return self.label
        return self.model.removeprefix(PREFIX) if self.model.startswith(PREFIX) else Path(self.model).stem

    @cached_property
    def path(self) -> Path:
        """Path of the Keras model."""
        return resolve_model(self.model, keras=True)

    @cached_property
    def samples(self) -> SampleSet:
        """Clean test samples, drawn once and for all."""
        return samples_of_dataset(self.dataset, self.data, self.most)

    @cached_property
    def x(self) -> Samples:
        """(N, *shape) float32, 255ths of 1: pixels, or features as parts of the range that their file states."""
        if self.samples.stated_range is None:
            return PIXELS.nearest(unit_interval(self.samples.x))
        low, high = self.samples.stated_range
        return PIXELS.nearest((self.samples.x - low) / (high - low))

    @cached_property
    def network(self) -> AttackedNetwork:
        """As attacks see it."""
        if self.samples.stated_range is None:
            return network_as_attacked(self.path)
        return _network_of_features(self.path, *self.samples.stated_range)


def subject_of(name: str, data: Path | None, most: int = COUNTS[-1]) -> Subject:
    """A shipped network under test samples of the data set it was trained on."""
    config = shipped_models()[name].record.config
    return Subject(PREFIX + name, config.dataset, data, most)


def _network_of_features(path: Path, low: float, high: float) -> AttackedNetwork:
    """Victims that take features as parts of [low, high]; the rounded one sees 256 values of it."""
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.scores import classes_of
    from stq_deploy.executors.host_executor import HostExecutor
    from stq_deploy.program import plan_network

    model = FloatModel(path)
    victims = {
        name: Victim(model.keras, grid, (low, high)) for name, grid in (("uint8", PIXELS), ("float32", UNROUNDED))
    }
    if model.network is None:
        return AttackedNetwork(victims, victims["uint8"].predict)
    executor, format = HostExecutor(plan_network(model.network), workers=1), model.input_format

    def judge(x: Samples) -> Labels:
        values = (low + x * (high - low)).astype(np.float32)
        return classes_of(executor.run(quantize_input(values, format, features=True))[0])

    integer: JudgeSamples = judge
    return AttackedNetwork(victims, integer)


@dataclass(frozen=True)
class Cell:
    """A network under one attack at one budget.

    Attributes:
        preset: its name.
        series: of the preset, with this one budget.
    """

    subject: Subject
    preset: str
    series: Series

    @property
    def attack(self) -> str:
        return self.series.steps[0].attack

    @property
    def label(self) -> str:
        return f"{self.subject.name}, {self.preset}, {self.series.name} {self.series.eps[0]}"

    def job(self, state: Path) -> Job:
        """All that decides the result; shards are kept in a folder of `state`."""
        x, y = self.subject.x, self.subject.samples.classes()
        names = self.subject.samples.class_names or []
        digest = hashlib.sha256(self.subject.path.read_bytes()).hexdigest()
        preset = Preset(title=self.series.name, samples=len(x), series=(self.series,))
        folder = state / _slug(self.subject.name) / _slug(f"{self.preset} {self.series.name} {self.series.eps[0]}")
        return Job(self.subject.path, digest, preset, x, y, tuple(map(str, names)), 0, folder)


def cells(subject: Subject, preset: str) -> list[Cell]:
    """Every series of the preset at every budget, each by itself."""
    return [
        Cell(subject, preset, series.model_copy(update={"eps": (eps,)}))
        for series in load_preset(preset).series
        for eps in series.eps
    ]


def attack(cell: Cell, state: Path, samples: int, say: Callable[[str], None]) -> None:
    """Attack the first `samples` samples, except those whose shards are there."""
    job = cell.job(state)
    size = SLOW_SHARD if cell.attack in SLOW else SHARD
    job.folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, min(samples, len(job.x)), size):
        numbers = np.arange(start, min(start + size, samples, len(job.x)), dtype=np.int64)
        kept = _kept(job, start)
        if kept is not None and len(kept.numbers) >= len(numbers):
            continue
        began = time.process_time()
        shard = run_shard(cell.subject.network, job.preset, job.x[numbers], job.y[numbers], numbers, job.seed)
        save_shard(shard, job.path(numbers), job.key(numbers))
        say(f"{cell.label}: samples {start} to {numbers[-1]} in {time.process_time() - began:.0f} CPU-s")


def figures(cell: Cell, state: Path) -> dict[str, Any] | None:
    """The finished shards' results, for the paper's count of samples and for all; None without a finished shard."""
    job = cell.job(state)
    shards = list(_finished(job))
    if not shards:
        return None
    total = sum(len(shard.numbers) for shard in shards)
    counts = sorted({min(count, total) for count in (*COUNTS, total)})
    step = cell.series.steps[0]
    return {
        "model": cell.subject.name,
        "model_sha256": job.model_sha256,
        "dataset": cell.subject.dataset,
        "features": cell.subject.samples.holds_features,
        "preset": cell.preset,
        "series": cell.series.name,
        "attack": step.attack,
        "title": ATTACKS[step.attack].title,
        "norm": cell.series.norm,
        "eps": cell.series.eps[0],
        "storage": cell.series.storage,
        "settings": step.at(cell.series.budgets[0], cell.series.norm).settings,
        "note": cell.series.note,
        "seed": job.seed,
        "counts": [_counts(job, cell.series.name, shards, count) for count in counts],
        "versions": versions(),
        "commit": git_commit(),
    }


def _kept(job: Job, start: int) -> Shard | None:
    """The shard that begins with sample `start`, of any size, if a run of this job wrote it."""
    path = job.path(np.asarray([start], np.int64))
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            numbers = file["numbers"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = numbers.ndim == 1 and numbers.dtype == np.int64 and len(numbers) and 0 <= numbers.max() < len(job.x)
    return load_shard(path, job.key(numbers)) if fits else None


def _finished(job: Job) -> Iterator[Shard]:
    """Shards from the first sample on, without a gap."""
    start = 0
    while (shard := _kept(job, start)) is not None:
        yield shard
        start += len(shard.numbers)


def _counts(job: Job, series: str, shards: Iterable[Shard], count: int) -> dict[str, Any]:
    """Counts for the first `count` samples: how many are right, clean and attacked.

    `float` is the float model on what the attack found, `rounded` the same after rounding to 256 values, `integer` the
    integer network on the rounded sample. Distances are medians over the samples that were right and are broken.
    """

    def joined(pick: Callable[[Shard], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([pick(shard) for shard in shards])[:count]

    clean = joined(lambda s: s.right)
    broken = joined(lambda s: s.series[series].union[0, -1])
    rounded = joined(lambda s: s.series[series].rounded[0])
    labels = joined(lambda s: s.labels)
    moved = joined(lambda s: s.series[series].worst[0]).astype(np.float64) - job.x[:count]
    fallen = moved.reshape(count, -1)[clean & broken]
    found: dict[str, Any] = {
        "samples": int(count),
        "clean": int(clean.sum()),
        "float": int((~broken).sum()),
        "rounded": int((~rounded).sum()),
        "integer_clean": int((joined(lambda s: s.predicted) == labels).sum()),
        "integer": int((joined(lambda s: s.series[series].predicted[0]) == labels).sum()),
    }
    found["wilson95"] = {name: list(wilson_interval(found[name], count)) for name in ("clean", "float", "rounded")}
    if len(fallen):
        found["median_l2"] = round(float(np.median(np.linalg.norm(fallen, axis=1))), 4)
        found["median_linf_levels"] = round(255 * float(np.median(np.abs(fallen).max(axis=1))), 3)
    return found


def merged(kept: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of both, in a fixed order. Of the same network and attack the one of more samples stays, else the new.

    A cell of another model file or of other settings is another one, and gives way to the new.
    """
    cells = {_place(cell): cell for cell in kept}
    for cell in found:
        former = cells.get(_place(cell))
        alike = former is not None and all(
            former[name] == cell[name] for name in ("model_sha256", "settings", "storage", "seed", "dataset")
        )
        if not (alike and former["counts"][-1]["samples"] > cell["counts"][-1]["samples"]):
            cells[_place(cell)] = cell
    return [cells[place] for place in sorted(cells)]


def _place(cell: dict[str, Any]) -> tuple[str, ...]:
    return cell["dataset"], cell["model"], cell["preset"], cell["series"], cell["eps"]


def wanted(samples: int, limits: Mapping[str, int], name: str) -> int:
    """How many samples an attack gets."""
    return min(samples, limits.get(name, samples))


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text)
