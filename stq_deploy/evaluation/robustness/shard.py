"""Attack a part of the samples by a preset. Records which samples each attack breaks, and the worst picture of each."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.files import write_whole
from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.robustness.presets import Preset, Series
from stq_deploy.network.input_format import InputFormat
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.defence import ClassifyLevels, RandomNoise
from stq_deploy.research.attacks.grid import PIXELS, Samples
from stq_deploy.research.attacks.oracle import Labels, Oracle
from stq_deploy.research.attacks.search import Search, is_wrong
from stq_deploy.research.attacks.streams import Streams
from stq_deploy.research.attacks.victim import Victim

JudgeSamples = Callable[[Samples], Labels]
"""The integer network: sample values (N, *shape) -> classes (N,)."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SeriesResult:
    """What a series did to N samples, at B budgets, by S attacks.

    Attributes:
        alone: (B, S, N) whether a sample is misclassified under this attack alone, at this or a smaller budget. It has
            no meaning for attacks that ran only on the samples that others left.
        union: (B, S, N) whether it is misclassified under any attack up to this one, or clean.
        worst: (B, N, *shape) the picture that broke a sample; where none did, the clean one.
        predicted: (B, N) the integer network's class for it.
        rounded: (B, N) whether the float model is wrong on it after rounding to pixels.
        seconds: (B, S) CPU-seconds that each attack took; (0, 0) if they were not measured.
        fresh: (B, D, N) the integer network's class for it, under D draws of noise that no attack has seen; D is 0
            without a defense.
    """

    alone: Flags
    union: Flags
    worst: Samples
    predicted: Labels
    rounded: Flags
    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    fresh: Labels = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))


@dataclass(frozen=True)
class Shard:
    """Results of some samples.

    Attributes:
        numbers: (N,) their places in the sample file.
        right: (N,) whether the float model is right on the clean sample.
        labels: (N,) true classes.
        predicted: (N,) the integer network's classes of the clean samples.
        margin: (N,) true logit minus the largest other one.
        jacobian: (N,) Frobenius norm of the logits' Jacobian by the sample values.
        spread: (N,) standard deviation of the logits.
        linear_l2, linear_linf: (N,) distance to the nearest class if the network were linear.
        achieved: (N,) loss of margin by a step of 1/255 along the margin's gradient, as a part of what the gradient
        promises. zero_gradient: (N,) whether the gradient of the cross-entropy is 0 everywhere.
        series: by name of the series.
        fresh: (D, N) the integer network's classes of the clean samples under fresh noise, as in `SeriesResult`.
    """

    numbers: npt.NDArray[np.int64]
    right: Flags
    labels: Labels
    predicted: Labels
    margin: npt.NDArray[np.float64]
    jacobian: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    linear_l2: npt.NDArray[np.float64]
    linear_linf: npt.NDArray[np.float64]
    achieved: npt.NDArray[np.float64]
    zero_gradient: Flags
    series: dict[str, SeriesResult]
    fresh: Labels = field(default_factory=lambda: np.zeros((0, 0), np.int64))


@dataclass(frozen=True)
class Defended:
    """A defense, and the network that it defends.

    Attributes:
        noise: fresh for every answer.
        format: of the network's input.
        classify: the integer network: input levels (N, *shape) -> classes (N,).
    """

    noise: RandomNoise
    format: InputFormat
    classify: ClassifyLevels


@dataclass(frozen=True)
class AttackedNetwork:
    """What is attacked.

    Attributes:
        victims: by storage ("uint8", "float32").
        judge: the integer network.
        defended: by what, if by anything.
        sources: by storage, another model whose gradients transfer attacks take; empty without one.
    """

    victims: dict[str, Victim]
    judge: JudgeSamples
    defended: Defended | None = None
    sources: dict[str, Victim] = field(default_factory=dict)

    def meet(self, storage: str, seeds: list[int], numbers: npt.NDArray[np.int64]) -> Oracle:
        """The victim as an attack on samples with these numbers (N,) meets it; `seeds` decide its noise."""
        victim = self.victims[storage]
        if self.defended is None:
            return victim
        return self.defended.noise.around(victim, self.defended.format, seeds, numbers)

    def fresh(self, x: Samples, numbers: npt.NDArray[np.int64], seed: int) -> Labels:
        """Classes (D, N) of samples (N, *shape) under fresh noise; D is 0 without a defense."""
        if self.defended is None:
            return np.zeros((0, len(x)), np.int64)
        format = self.defended.format
        levels = format.levels(format.model_values(x))
        return self.defended.noise.fresh(self.defended.classify, levels, format, seed, numbers)


def run_shard(
    network: AttackedNetwork,
    preset: Preset,
    x: Samples,
    y: Labels,
    numbers: npt.NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
) -> Shard:
    """Attack samples (N, *shape).

    Args:
        numbers: (N,) their places in the sample file; with `seed` they decide all that is drawn.
    """
    victim = network.victims["uint8"]
    margin, jacobian, spread, linear_l2, linear_linf, achieved, zero = _first_order(victim, x, y)
    return Shard(
        numbers, victim.predict(x) == y, y, network.judge(x), margin, jacobian, spread, linear_l2, linear_linf,
        achieved, zero, {series.name: _run_series(network, series, x, y, numbers, seed, progress) for series in
        preset.series}, network.fresh(x, numbers, seed),
    )  # fmt: skip


def _run_series(
    network: AttackedNetwork,
    series: Series,
    x: Samples,
    y: Labels,
    numbers: npt.NDArray[np.int64],
    seed: int,
    progress: Progress,
) -> SeriesResult:
    victim = network.victims[series.storage]
    budgets, steps, count = series.budgets, series.steps, len(x)
    alone = np.zeros((len(budgets), len(steps), count), bool)
    union = np.zeros_like(alone)
    seconds = np.zeros(alone.shape[:2])
    worst = np.repeat(x[None], len(budgets), axis=0)
    # A defended network may be right on a sample that the network alone gets wrong: all of them are attacked.
    broken, found = is_wrong(victim.logits(x), y) & (network.defended is None), x.copy()
    by_itself = np.repeat(broken[None], len(steps), axis=0)
    for b, eps in enumerate(budgets):
        for s, step in enumerate(steps):
            progress(f"{series.name} {series.eps[b]}: {step.title}", 0, 1)
            attack = step.at(eps, series.norm)
            tried = np.flatnonzero(~(by_itself[s] if step.alone else broken))
            seeds = [seed, series.seed, b, s]
            met = network.meet(series.storage, seeds, numbers[tried])
            source = network.sources.get(series.storage)
            begun = time.process_time()
            success, pictures = _attack(met, attack, x[tried], y[tried], numbers[tried], seeds, source)
            seconds[b, s] = time.process_time() - begun
            fresh = success & ~broken[tried]
            found[tried[fresh]] = pictures[fresh]
            by_itself[s, tried[success]] = broken[tried[success]] = True
            alone[b, s], union[b, s] = by_itself[s], broken
            progress(f"{series.name} {series.eps[b]}: {step.title}", 1, 1)
        worst[b] = found
    rounded = np.stack([is_wrong(victim.logits(PIXELS.nearest(pictures)), y) for pictures in worst])
    predicted = np.stack([network.judge(PIXELS.nearest(pictures)) for pictures in worst])
    noisy = np.stack([network.fresh(PIXELS.nearest(pictures), numbers, seed) for pictures in worst])
    return SeriesResult(alone, union, worst, predicted, rounded, seconds, noisy)


def _attack(
    victim: Oracle,
    attack: Attack,
    x: Samples,
    y: Labels,
    numbers: npt.NDArray[np.int64],
    seeds: list[int],
    source: Victim | None,
) -> tuple[Flags, Samples]:
    """The samples that broke, and the picture found for each."""
    if not len(x):
        return np.zeros(0, bool), x
    budget = Budget.of_pixels(attack.norm, attack.eps)
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    search = Search(victim, x, y, budget, Streams(seed, [int(n) for n in numbers]), attack.smallest, source=source)
    attack.run(search)
    budget.check_stored(search.found, x, victim.grid, attack.name)
    return search.broken, search.found


def _first_order(victim: Victim, x: Samples, y: Labels) -> tuple[Any, ...]:
    """The figures of `Shard` from one gradient per class; the last ones are the flags of zero gradients."""
    rows = np.arange(len(x))
    gradients = []
    for c in range(victim.classes):
        _, _, gradient = victim.gradient(x, y, "logit", np.full(len(x), c, np.int64))
        gradients.append(gradient.reshape(len(x), -1).astype(np.float64))
    logits = victim.logits(x).astype(np.float64)
    j = np.stack(gradients, axis=1)
    margins = logits[rows, y][:, None] - logits
    slopes = j[rows, y][:, None] - j
    margins[rows, y] = np.inf
    l2 = margins / np.maximum(np.linalg.norm(slopes, axis=2), 1e-30)
    linf = margins / np.maximum(np.abs(slopes).sum(axis=2), 1e-30)
    nearest = margins.argmin(axis=1)
    slope = slopes[rows, nearest]
    step = np.clip(x.reshape(len(x), -1) - np.sign(slope) / 255, 0, 1)
    promised = ((x.reshape(len(x), -1) - step) * slope).sum(axis=1)
    after = victim.logits(step.reshape(x.shape).astype(np.float32)).astype(np.float64)
    lost = margins[rows, nearest] - (after[rows, y] - after[rows, nearest])
    _, _, ce = victim.gradient(x, y, "ce")
    zero = (ce.reshape(len(x), -1) == 0).all(axis=1)
    return (
        margins.min(axis=1), np.linalg.norm(j, axis=(1, 2)), logits.std(axis=1), l2.min(axis=1), linf.min(axis=1),
        lost / np.maximum(promised, 1e-30), zero,
    )  # fmt: skip


def save_shard(shard: Shard, path: Path, key: str) -> None:
    """Write it; `key` identifies its run."""
    arrays: dict[str, npt.NDArray[Any]] = {
        name: value for name, value in vars(shard).items() if isinstance(value, np.ndarray)
    }
    for name, result in shard.series.items():
        for part, value in vars(result).items():
            packed = np.rint(value * 255).astype(np.uint8) if part == "worst" and _on_grid(value) else value
            arrays[f"{name}/{part}"] = packed
    stream = io.BytesIO()
    np.savez_compressed(stream, key=np.asarray(key), **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
    write_whole(path, stream.getvalue())


def load_shard(path: Path, key: str) -> Shard | None:
    """The shard that a run of this key wrote, or None."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            arrays = {name: file[name] for name in file.files if name != "key"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    series: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for name in [n for n in arrays if "/" in n]:
        owner, _, part = name.rpartition("/")
        value = arrays.pop(name)
        series.setdefault(owner, {})[part] = (
            value.astype(np.float32) / np.float32(255) if value.dtype == np.uint8 else value
        )
    try:
        results = {name: SeriesResult(**parts) for name, parts in series.items()}
        return Shard(**arrays, series=results)
    except TypeError:
        return None


def _on_grid(x: Samples) -> bool:
    return bool(np.array_equal(PIXELS.nearest(x), x))
