"""From shards to figures: worst case by budget with its Wilson interval, each attack's own count, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.robustness.presets import Preset, Series
from stq_deploy.evaluation.robustness.shard import SeriesResult, Shard
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.research.attacks.oracle import Labels

_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AttackCount:
    """Samples that are still classified right under one attack at one budget.

    Attributes:
        attack: title; no two of a series have the same.
        name: of the attack, as on the command line.
        check: as in `presets.Step`.
        alone: right when only this attack is tried; None if it ran only on what others left.
        left: right after this attack and all before it.
        gained: samples that it broke beyond those before it.
    """

    attack: str
    name: str
    check: str
    alone: int | None
    left: int
    gained: int


@dataclass(frozen=True)
class BudgetRow:
    """One budget of one series.

    Attributes:
        eps: as written in the preset.
        attacks: in the order they ran.
        worst: right by the float model under all attacks.
        integer: right by the integer network, which sees the same stored samples.
        unconfirmed: samples broken for the float model whose stored picture the integer network gets right.
        rounded: right after rounding to pixels, for attacks on unrounded samples; else equal to `worst`.
        fresh: right by the integer network under each draw of fresh noise; empty without a defense.
    """

    eps: str
    attacks: tuple[AttackCount, ...]
    worst: Accuracy
    integer: Accuracy
    unconfirmed: int
    rounded: Accuracy
    fresh: tuple[Accuracy, ...] = ()

    @property
    def fresh_mean(self) -> float:
        """Mean share over the draws; NaN without a defense."""
        return mean_share(self.fresh)


@dataclass(frozen=True)
class SeriesSummary:
    """One series: its budgets, ascending."""

    name: str
    norm: str
    storage: str
    note: str
    rows: tuple[BudgetRow, ...]


@dataclass(frozen=True)
class FirstOrder:
    """Figures of the gradients at the clean samples: medians over samples classified right.

    Attributes:
        jacobian: Frobenius norm of the Jacobian of the logits by the sample values (0..1).
        jacobian_by_margin, jacobian_by_spread: the same over the margin, and over the logits' standard deviation.
        margin: true logit minus the largest other one.
        linear_l2, linear_linf: distance to the nearest class if the network were linear.
        achieved: loss of margin by a step of 1/255, over what the gradient promises.
        zero_gradients: share of samples whose gradient is 0 everywhere.
    """

    jacobian: float
    jacobian_by_margin: float
    jacobian_by_spread: float
    margin: float
    linear_l2: float
    linear_linf: float
    achieved: float
    zero_gradients: float


@dataclass(frozen=True)
class Summary:
    """All figures of a run.

    Attributes:
        samples: how many were attacked.
        clean: by the float model.
        integer_clean: by the integer network.
        fresh_clean: by the integer network under each draw of fresh noise; empty without a defense.
    """

    samples: int
    clean: Accuracy
    integer_clean: Accuracy
    first_order: FirstOrder
    series: tuple[SeriesSummary, ...]
    fresh_clean: tuple[Accuracy, ...] = ()

    def named(self, name: str) -> SeriesSummary | None:
        """The series of this name."""
        return next((series for series in self.series if series.name == name), None)


def summarize(preset: Preset, shards: Sequence[Shard]) -> Summary:
    """Figures of finished shards."""
    right = np.concatenate([shard.right for shard in shards])
    labels = np.concatenate([shard.labels for shard in shards])
    integer_right = np.concatenate([shard.predicted for shard in shards]) == labels
    series = tuple(_series(one, [shard.series[one.name] for shard in shards], right, labels) for one in preset.series)
    fresh = _drawn(np.concatenate([shard.fresh for shard in shards], axis=1), labels)
    return Summary(len(right), _accuracy(right), _accuracy(integer_right), _first_order(shards, right), series, fresh)


def _series(series: Series, results: Sequence[SeriesResult], right: _Flags, labels: Labels) -> SeriesSummary:
    alone = np.concatenate([result.alone for result in results], axis=2)
    union = np.concatenate([result.union for result in results], axis=2)
    confirmed = np.concatenate([result.predicted for result in results], axis=1) != labels
    rounded = np.concatenate([result.rounded for result in results], axis=1)
    fresh = [result.fresh for result in results]
    rows = []
    before = ~right
    for b, eps in enumerate(series.eps):
        attacks = []
        for s, (step, title) in enumerate(zip(series.steps, series.titles, strict=True)):
            own = len(right) - int(alone[b, s].sum()) if step.alone else None
            left = len(right) - int(union[b, s].sum())
            gained = int((union[b, s] & ~before).sum())
            attacks.append(AttackCount(title, step.attack, step.check, own, left, gained))
            before = union[b, s]
        broken = union[b, -1]
        unconfirmed = int((broken & ~confirmed[b]).sum())
        rows.append(
            BudgetRow(
                eps,
                tuple(attacks),
                _accuracy(~broken),
                _accuracy(~confirmed[b]),
                unconfirmed,
                _accuracy(~rounded[b]),
                _drawn(np.concatenate([one[b] for one in fresh], axis=1), labels) if len(fresh[0]) else (),
            )
        )
    return SeriesSummary(series.name, series.norm, series.storage, series.note, tuple(rows))


def _first_order(shards: Sequence[Shard], right: _Flags) -> FirstOrder:
    def median(values: npt.NDArray[np.float64]) -> float:
        return float(np.median(values[right])) if right.any() else float("nan")

    joined = {
        name: np.concatenate([getattr(shard, name) for shard in shards])
        for name in ("jacobian", "margin", "spread", "linear_l2", "linear_linf", "achieved")
    }
    margin, spread = (np.maximum(joined[name], 1e-30) for name in ("margin", "spread"))
    return FirstOrder(
        jacobian=median(joined["jacobian"]),
        jacobian_by_margin=median(joined["jacobian"] / margin),
        jacobian_by_spread=median(joined["jacobian"] / spread),
        margin=median(joined["margin"]),
        linear_l2=median(joined["linear_l2"]),
        linear_linf=median(joined["linear_linf"]),
        achieved=median(joined["achieved"]),
        zero_gradients=float(np.concatenate([shard.zero_gradient for shard in shards]).mean()),
    )


def mean_share(draws: Sequence[Accuracy]) -> float:
    """Mean of the shares; NaN of none."""
    return float(np.mean([one.share for one in draws])) if draws else float("nan")


def _drawn(predicted: Labels, labels: Labels) -> tuple[Accuracy, ...]:
    """Accuracy under each draw of `predicted` (D, N)."""
    return tuple(_accuracy(one == labels) for one in predicted)


def _accuracy(right: _Flags) -> Accuracy:
    return Accuracy(int(right.sum()), len(right))
