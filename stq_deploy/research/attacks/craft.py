"""Make a sample file: attack clean samples; record the attack, what it measures, and the models' answers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata as packages
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import (
    NO_NETWORK,
    AttackRecord,
    DefenceRecord,
    FloatModelRecord,
    GradientModel,
)
from stq_deploy.datasets.samples import CLEAN, Pixels, SampleSet
from stq_deploy.network.input_format import PIXELS as UNMAPPED
from stq_deploy.network.input_format import InputFormat, quantize_input, unit_interval
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.budget import NORMS, Budget
from stq_deploy.research.attacks.defence import FRESH_DRAWS, NAME, ClassifyLevels, RandomNoise
from stq_deploy.research.attacks.grid import PIXELS, UNROUNDED, Grid, Samples, feature_grid
from stq_deploy.research.attacks.oracle import Labels, Oracle
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.streams import Streams
from stq_deploy.research.attacks.victim import Victim

BATCH = 128
STORAGE = ("uint8", "float32")
UNITS = ("value", "range", "std")
"""The meaning of a budget of 1: the samples' own unit, the range that a file of features states, or each feature's
standard deviation. The deviation is taken over the attacked samples.
"""
_RECORDED_PACKAGES = (
    "adversarial-robustness-toolbox", "tensorflow-cpu", "tensorflow", "tf-keras", "qkeras", "numpy",
)  # fmt: skip

_STILL = 1e-60
"""Smallest standard deviation of a feature, because a constant one would divide by 0. A change this small rounds to
0.
"""

SamplesDone = Callable[[int], None]
"""Called with the number of samples finished so far."""
JudgeLevels = Callable[[npt.NDArray[np.int64]], Labels]
"""The integer network: input levels (N, *shape) -> classes (N,)."""


@dataclass(frozen=True)
class Target:
    """The model under attack.

    Attributes:
        model: tf_keras Model; attacks freeze it (`Victim`).
        name: the model's name, for the record.
        file_sha256: SHA-256 (hex) of the model file.
        input_format: input of the integer network converted from it; without one, pixels of 8 bits.
        model_hash: `Network.sha256()` of that network, or None.
        judge: the integer network, whose answers are recorded beside the float model's; or None.
        limit: the logit above which a model of one unit says class 1.
    """

    model: Any
    name: str
    file_sha256: str
    input_format: InputFormat
    model_hash: str | None
    judge: JudgeLevels | None = None
    limit: float = 0.0

    def victim(self, grid: Grid, *, features: bool = False) -> Victim:
        """The model as attacks see it. With `features`, samples are its own input values instead of pixels."""
        mapped = UNMAPPED if features else (self.input_format.low, self.input_format.high)
        return Victim(self.model, grid, mapped, self.limit)


@dataclass(frozen=True)
class TransferSource:
    """A model whose gradients a transfer attack takes.

    Attributes:
        model: tf_keras Model; attacks freeze it (`Victim`).
        name, file_sha256: as in `Target`.
        input_range: the values of its input for the sample values 0 and 1.
    """

    model: Any
    name: str
    file_sha256: str
    input_range: tuple[float, float] = UNMAPPED

    def victim(self, attacked: Victim, *, features: bool = False) -> Victim:
        """The model as the attack sees it.

        Raises:
            StqError: it takes other samples, or has other classes, than the model under attack.
        """
        found = Victim(self.model, attacked.grid, UNMAPPED if features else self.input_range)
        if (found.shape, found.classes) != (attacked.shape, attacked.classes):
            raise StqError(
                f"it takes samples {found.shape} and has {found.classes} classes; the model under attack takes samples "
                f"{attacked.shape} and has {attacked.classes}",
                where=f"--from {self.name}",
                next="take gradients from a model of the same data",
            )
        return found


def craft(
    target: Target,
    clean: SampleSet,
    attack: Attack | None,
    *,
    seed: int = 0,
    batch: int = BATCH,
    storage: str = "uint8",
    unit: str = "value",
    defence: RandomNoise | None = None,
    source: TransferSource | None = None,
    progress: SamplesDone = lambda _: None,
) -> SampleSet:
    """Attack `clean` samples; with `attack` None they stay unchanged, and the models' answers are added.

    Every candidate is judged in its stored form, so the file holds exactly what the attack found.

    Args:
        seed: decides, with a sample's number, everything that is drawn for it.
        batch: samples attacked together.
        storage: "uint8" stores pixels of 8 bits, as a picture file would; "float32" any values. Features are stored as
            the real values of the network's input levels.
        unit: of the budget, one of `UNITS`; pixels have only "value".
        defence: the defense that the attacker meets; the record then also has the accuracies under fresh noise.
        source: another model, for attacks that transfer.

    Returns:
        The samples with metadata. They state the attack, its settings and threat model, the largest change of a stored
        sample, seed and versions. They also count the samples that each model gets right, clean and attacked, and hold
        the float model's predictions.

    Raises:
        StqError: samples of another shape, labels that the model has no class for, or a unit that pixels do not have.
            Also if the budget is below one step of the storage, or a result is outside its budget.
    """
    grid = _grid(target, clean, storage)
    victim = target.victim(grid, features=clean.holds_features)
    _check_fits(target, clean, victim.classes)
    helper = None if source is None else source.victim(victim, features=clean.holds_features)
    y = clean.classes()
    x = grid.nearest(unit_interval(clean.x)) if attack is not None else unit_interval(clean.x)
    adversarial = x
    if attack is not None:
        budget = _budget(attack, clean, x, grid, unit)

        def meet(numbers: Sequence[int]) -> Oracle:
            if defence is None:
                return victim
            return defence.around(victim, target.input_format, [seed], numbers, features=clean.holds_features)

        adversarial = _perturb(attack, meet, helper, x, y, budget, seed, batch, progress)
        _check_budget(attack, budget, adversarial, x, grid)
    stored = _stored(adversarial, storage, clean)
    predictions = victim.predict(unit_interval(stored))
    correct = {"clean": _correct(victim.predict(x), y), "attacked": _correct(predictions, y)}
    if target.model_hash is not None:
        format = target.input_format
        levels = quantize_input(stored, format, features=clean.holds_features)
        back = format.values if clean.holds_features else format.samples
        correct["after_input_quantisation"] = _correct(victim.predict(back(levels)), y)
        if target.judge is not None:
            correct["integer"] = _correct(target.judge(levels), y)
    metadata = replace(
        clean.metadata.kept_by_attacks(),
        attack=AttackRecord(CLEAN) if attack is None else _describe(attack, budget, unit, adversarial, x),
        seed=seed,
        batch=batch,
        defence=None if defence is None else _defended(defence, target, victim, clean, stored, seed),
        source_model=None if source is None else GradientModel(source.name, source.file_sha256),
        versions=versions(),
        float_model=FloatModelRecord(
            target.name,
            target.file_sha256,
            target.model_hash,
            tuple(int(p) for p in predictions),
            correct,
            NO_NETWORK if target.model_hash is None else {},
        ),
    )
    return SampleSet(stored, clean.y, metadata)


def _defended(
    defence: RandomNoise, target: Target, victim: Victim, clean: SampleSet, stored: Pixels, seed: int
) -> DefenceRecord:
    """How many samples each model gets right under each draw of fresh noise, clean and attacked."""
    features, format, y = clean.holds_features, target.input_format, clean.classes()
    numbers = np.arange(len(y), dtype=np.int64)
    back = format.values if features else format.samples
    models: dict[str, ClassifyLevels] = {"float": lambda levels: victim.predict(back(levels))}
    if target.judge is not None:
        models["integer"] = target.judge
    counts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, classify in models.items():
        for kind, x in (("clean", clean.x), ("attacked", stored)):
            levels = quantize_input(x, format, features=features)
            drawn = defence.fresh(classify, levels, format, seed, numbers)
            counts.setdefault(name, {})[kind] = tuple(_correct(one, y) for one in drawn)
    return DefenceRecord(NAME, defence.sigma, defence.eot, FRESH_DRAWS, seed, counts)


def versions() -> dict[str, str]:
    """Versions of the packages that take part in an attack; one that is not installed is left out."""
    found = {"python": platform.python_version(), "stq-deploy": __version__}
    for name in _RECORDED_PACKAGES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


def _grid(target: Target, clean: SampleSet, storage: str) -> Grid:
    bounds = clean.stated_range
    if bounds is None:
        return PIXELS if storage == "uint8" else UNROUNDED
    format = target.input_format
    if target.model_hash is None or format.rounding is not None:  # its levels are not a grid of the features themselves
        return Grid(*bounds, 0.0)
    return feature_grid(format.type, format.domain)


def _budget(attack: Attack, clean: SampleSet, x: Samples, grid: Grid, unit: str) -> Budget:
    bounds = clean.stated_range
    if unit == "value":
        worth = np.ones((), np.float64)
    elif bounds is None:
        raise StqError(
            f"a budget in units of {unit} is for features, and these samples are pixels",
            where=f"attack {attack.name}",
            next="leave --unit out; or state the range of the features in the sample file",
        )
    elif unit == "range":
        worth = np.asarray(bounds[1] - bounds[0], np.float64)
    else:
        worth = np.maximum(x.astype(np.float64).std(axis=0), _STILL)
    if not grid.is_continuous and not (attack.eps * worth >= grid.step * (1 - 1e-6)).any():
        raise StqError(
            f"eps = {attack.eps:g} is less than one step of what can be stored ({grid.step:g}): no sample could change",
            where=f"attack {attack.name}",
            next="choose a larger eps; or keep samples unrounded with --storage float32",
        )
    return Budget(attack.norm, attack.eps, worth)


def _perturb(
    attack: Attack,
    meet: Callable[[Sequence[int]], Oracle],
    source: Victim | None,
    x: Samples,
    y: Labels,
    budget: Budget,
    seed: int,
    batch: int,
    progress: SamplesDone,
) -> Samples:
    parts = []
    for start in range(0, len(x), batch):
        numbers = range(start, min(start + batch, len(x)))
        part = slice(start, numbers.stop)
        search = Search(meet(numbers), x[part], y[part], budget, Streams(seed, numbers), attack.smallest, source=source)
        attack.run(search)
        parts.append(search.found)
        progress(numbers.stop)
    return np.concatenate(parts)


def _check_budget(attack: Attack, budget: Budget, adversarial: Samples, x: Samples, grid: Grid) -> None:
    """Measure the stored samples against the budget."""
    if not np.isfinite(adversarial).all():
        raise StqError(
            "the attack gave NaN or infinite values",
            where=f"attack {attack.name}",
            cause="the model's gradient is not finite there",
            next="look at the model's weights with `stq-deploy inspect`",
        )
    budget.check_stored(adversarial, x, grid, attack.name)


def _stored(x: Samples, storage: str, clean: SampleSet) -> Pixels:
    if storage == "uint8" and not clean.holds_features:
        pixels: npt.NDArray[np.uint8] = np.rint(x * np.float32(255)).astype(np.uint8)
        return pixels
    return x


def _correct(predictions: Labels, y: Labels) -> int:
    return int((predictions == y).sum())


def _describe(attack: Attack, budget: Budget, unit: str, moved: Samples, x: Samples) -> AttackRecord:
    samples = {"value": "sample values", "range": "parts of the stated range", "std": "standard deviations"}[unit]
    return AttackRecord(
        name=attack.name,
        settings=attack.settings,
        threat_model=(
            f"untargeted; {attack.access}; stored samples change by at most {attack.eps:.6g} in the L{attack.norm} "
            f"norm ({samples})"
        ),
        unit=unit,
        largest_change={norm: float(Budget(norm, budget.eps, budget.unit).distance(moved, x).max()) for norm in NORMS},
    )


def _check_fits(target: Target, clean: SampleSet, classes: int) -> None:
    if clean.x.shape[1:] != target.input_format.type.shape:
        raise StqError(
            f"samples have shape {clean.x.shape[1:]}, the model takes {target.input_format.type.shape}",
            next="choose samples made for this model",
        )
    largest = int(clean.classes().max())
    if largest >= classes:
        raise StqError(
            f"a label is class {largest}, the model has {classes} classes",
            cause="the samples belong to another data set",
        )
