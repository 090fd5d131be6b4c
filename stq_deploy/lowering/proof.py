"""Proves that a requantization equals an exact function at every reachable accumulator, and records the comparison.

A few accumulators are enough. For one channel, let the exact function be t and the integer form g.

1. t is a step function of `sign * acc` that never falls; its steps are known exactly (`Thresholds`).
2. g never falls either: its integers show that (`Requantize.rises`).
3. At both ends of the reachable range, and on both sides of every step of t, g equals t: compared one by one.

Between two neighbouring accumulators of these, t is constant and equal at both. g is between its values there, which
are the same. So g equals t everywhere. The work grows with the steps, not with the accumulators, of which there may be
2**32. An op with few accumulators is compared at all of them in any case.

A second opinion checks the steps themselves: a float64 evaluation of QKeras's formulas, written independently
(`float_evaluation`), at all these accumulators and at some between them. At a rounding tie float64 cannot decide; the
level must then be one of the two that it allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.epilogue import Epilogue, Thresholds
from stq_deploy.lowering.float_evaluation import level_bounds
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import Requantize, of_channels

MAXIMUM_EXHAUSTIVE = 1 << 16
"""An op with at most this many accumulators is compared at all; others at both sides of every step and between."""
_CHUNK = 1 << 18
_BETWEEN = 64  # accumulators of a channel, evenly spread

Integers = npt.NDArray[np.int64]


def prove(form: Requantize, target: Thresholds, epilogue: Epilogue) -> Certificate:
    """The certificate of `form`, which equals `target`, the exact steps of `epilogue`, at every reachable accumulator.

    It has kind, exact, channels and three counts. `accumulators` are the reachable ones. `checked` of them were
    compared one by one, among them both sides of every step. `near_ties` of these were within 1e-9 (relative) of a
    rounding tie.

    Raises:
        ArithmeticError: the form differs, or the steps contradict float64: a mistake in the lowering.
    """

    def ties(c: int, acc: Integers, level: Integers) -> int:
        lowest, highest = level_bounds(epilogue.stages, epilogue.quantizer, c, acc)
        level = level - epilogue.steps.zero_point
        if (level < lowest).any() or (level > highest).any():
            raise ArithmeticError(f"the thresholds of channel {c} contradict the float64 evaluation")
        return int((lowest != highest).sum())

    return _prove(form, target, ties)


def prove_at_steps(form: Requantize, target: Thresholds, stated: Callable[[int, Integers], Integers]) -> Certificate:
    """As `prove`, for steps of a function that a file states in integers; the second opinion is that function itself.

    Args:
        stated: (channel, accumulators int64 (N,)) -> levels int64 (N,).
    """

    def ties(c: int, acc: Integers, level: Integers) -> int:
        if not np.array_equal(stated(c, acc), level):
            raise ArithmeticError(f"the thresholds of channel {c} contradict the stated function")
        return 0

    return _prove(form, target, ties)


def _prove(form: Requantize, target: Thresholds, ties: Callable[[int, Integers, Integers], int]) -> Certificate:
    """The certificate; `ties` is the second opinion about (channel, accumulators, levels), and counts near ties."""
    reachable = int((target.high - target.low + 1).sum())
    if not form.rises(target.sign, *target.accumulators()):
        raise ArithmeticError(f"the {form.kind} form is not monotone")
    checked = near_ties = 0
    for c in range(target.channels):
        one = of_channels(form, [c])
        for signed in _compared(target, c, every=reachable <= MAXIMUM_EXHAUSTIVE):
            checked += len(signed)
            acc = signed * target.sign[c]
            level = target.level(c, signed)
            if not np.array_equal(one.apply(acc[:, None])[:, 0], level):
                raise ArithmeticError(f"the {one.kind} form of channel {c} is not exact")
            near_ties += ties(c, acc, level)
    return Certificate(
        form.kind, True, channels=target.channels, accumulators=reachable, checked=checked, near_ties=near_ties
    )


def _compared(target: Thresholds, c: int, every: bool) -> Iterator[Integers]:
    """Values of `sign * acc` of channel c: all, or the ends, both sides of every step and some between."""
    low, high = int(target.low[c]), int(target.high[c])
    if every:
        for start in range(low, high + 1, _CHUNK):
            yield np.arange(start, min(start + _CHUNK, high + 1), dtype=np.int64)
        return
    first = target.first[c]
    between = low + (high - low) * np.arange(_BETWEEN, dtype=np.int64) // (_BETWEEN - 1)
    yield np.unique(np.clip(np.concatenate([first - 1, first, between]), low, high))
