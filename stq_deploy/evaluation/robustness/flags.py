"""Signs that a network hides its gradients rather than being robust (Athalye et al. 2018; Carlini et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.evaluation.robustness.presets import LIMIT
from stq_deploy.evaluation.robustness.summary import AttackCount, BudgetRow, SeriesSummary, Summary
from stq_deploy.research.attacks.abstract_attack import DECISIONS, GRADIENTS, SCORES
from stq_deploy.research.attacks.fgsm import Fgsm
from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.registry import ATTACKS
from stq_deploy.research.attacks.transfer import TRANSFER

_SHARE = 0.02
"""A share of the samples above this one is unlikely by chance."""
_FEWEST = 2
"""A number of samples above this one is unlikely by chance."""
_ZERO_GRADIENTS = 0.05
_ACHIEVED = 0.5
_GRADIENTS = frozenset(name for name, attack in ATTACKS.items() if attack.access == GRADIENTS)
_NO_GRADIENTS = frozenset(name for name, attack in ATTACKS.items() if attack.access in (SCORES, DECISIONS, TRANSFER))
"""Names of attacks by the model's own gradients, and of those that use its answers or another model's gradients."""


@dataclass(frozen=True)
class Flag:
    """One sign.

    Attributes:
        name: short.
        raised: whether it was seen; None where the preset has nothing that would show it.
        text: what was measured, in a sentence.
    """

    name: str
    raised: bool | None
    text: str


def masking_flags(summary: Summary, classes: int) -> tuple[Flag, ...]:
    """Every sign, seen or not.

    Args:
        classes: of the model; chance is 1 in so many.
    """
    series = [one for one in summary.series if one.name != LIMIT and one.storage == "uint8"]
    return (
        _single_step(series),
        _black_box(series),
        _iterations(series),
        _limit(summary, classes),
        _zero_gradients(summary),
        _achieved(summary),
        _rounding(summary),
    )


def _is_many(count: int, samples: int) -> bool:
    return count > max(_FEWEST, _SHARE * samples)


def _alone(row: BudgetRow, name: str) -> int | None:
    """What the strongest of the attacks of this name leaves by itself; None if none ran by itself."""
    left = [attack.alone for attack in row.attacks if attack.name == name and not attack.check]
    return min((count for count in left if count is not None), default=None)


def _single_step(series: list[SeriesSummary]) -> Flag:
    name = "single step beats iterations"
    pairs = [(_alone(row, Fgsm.name), _alone(row, Pgd.name), one, row) for one in series for row in one.rows]
    known = [(pgd - fgsm, one, row) for fgsm, pgd, one, row in pairs if fgsm is not None and pgd is not None]
    if not known:
        return Flag(name, None, "The preset does not run FGSM and PGD by themselves.")
    most, one, row = max(known, key=lambda found: found[0])
    raised = _is_many(most, row.worst.total)
    where = f"at {one.name} {row.eps}"
    said = f"PGD leaves {most} samples more than FGSM {where}" if most > 0 else "PGD is at least as strong as FGSM"
    return Flag(name, raised, f"{said}.")


def _after_white_box(row: BudgetRow) -> tuple[AttackCount, ...]:
    """The attacks that follow the first one by gradients: those before it gain what any attack would."""
    first = next((i for i, attack in enumerate(row.attacks) if attack.name in _GRADIENTS), len(row.attacks))
    return row.attacks[first:]


def _black_box(series: list[SeriesSummary]) -> Flag:
    name = "black box beats white box"
    gains = [
        (attack.gained, one, row, attack)
        for one in series
        for row in one.rows
        for attack in _after_white_box(row)
        if attack.name in _NO_GRADIENTS
    ]
    if not gains:
        return Flag(name, None, "The preset has no black-box attack after the white-box ones.")
    gained, one, row, attack = max(gains, key=lambda found: found[0])
    where = f"{attack.attack} breaks {gained} more at {one.name} {row.eps}" if gained else "Black box adds nothing"
    return Flag(name, _is_many(gained, row.worst.total), f"{where}.")


def _iterations(series: list[SeriesSummary]) -> Flag:
    name = "more iterations still gain"
    gains = [
        (attack.gained, one, row)
        for one in series
        for row in one.rows
        for attack in row.attacks
        if attack.check == "iterations"
    ]
    if not gains:
        return Flag(name, None, "The preset has no longer run.")
    gained, one, row = max(gains, key=lambda found: found[0])
    said = f"Longer PGD breaks {gained} more at {one.name} {row.eps}" if gained else "Longer PGD adds nothing"
    return Flag(name, _is_many(gained, row.worst.total), f"{said}.")


def _limit(summary: Summary, classes: int) -> Flag:
    name = "not at chance for a huge budget"
    limit = summary.named(LIMIT)
    if limit is None:
        return Flag(name, None, "The preset has no huge budget.")
    row = limit.rows[-1]
    chance = row.worst.total / classes
    said = f"{row.worst.correct} of {row.worst.total} stand at {row.eps}; chance is {chance:.0f}."
    return Flag(name, row.worst.correct > chance, said)


def _zero_gradients(summary: Summary) -> Flag:
    share = summary.first_order.zero_gradients
    said = f"{100 * share:.1f} % of the samples have no gradient at all."
    return Flag("gradients are zero", share > _ZERO_GRADIENTS, said)


def _achieved(summary: Summary) -> Flag:
    achieved = summary.first_order.achieved
    said = f"A step of 1/255 takes {100 * achieved:.0f} % of the margin that the gradient promises (median)."
    return Flag("gradients mislead", achieved < _ACHIEVED, said)


def _rounding(summary: Summary) -> Flag:
    name = "rounding undoes the attack"
    lost = [
        (row.rounded.correct - row.worst.correct, one, row)
        for one in summary.series
        for row in one.rows
        if one.storage != "uint8"
    ]
    if not lost:
        return Flag(name, False, "Every success is a stored picture of 8 bits.")
    most, one, row = max(lost, key=lambda found: found[0])
    said = f"{most} samples are right again after rounding, at {one.name} {row.eps}."
    return Flag(name, _is_many(most, row.worst.total), said)
