"""Logits as int32 fixed-point numbers of one common scale, with their largest error, exact."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.lines import RoundedLine, float_above, largest_error
from stq_deploy.lowering.signs import sign_shift
from stq_deploy.lowering.stages import Affine
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import MultiplierRequantize, of_channels

Integers = npt.NDArray[np.int64]

_INT32 = 2**31
_LARGEST_SCALE = 2**30
_SAMPLES = 64  # accumulators of a channel that the float64 evaluation checks, including the ends


def certify_logits(
    affine: Affine, low: Integers, high: Integers, *, signs: bool = False
) -> tuple[Certified[MultiplierRequantize], Fraction]:
    """Fixed-point `affine.factor[c] * acc + affine.offset[c]` for accumulators in [low[c], high[c]].

    Args:
        signs: make a level positive exactly where the logit is, because the sign decides the class. Offsets move by
            the few steps that this takes. The certificate's `exact_signs` states whether it succeeded in every channel.

    Returns:
        The requantization and the real value of one output step, the smallest power of two at which the logits stay
        within +-2**30 and every multiplier within int32.

    Its certificate holds:
        accumulators: number of reachable ones.
        largest_error: in logit units, over all of them: calculated, not sampled (`lines.largest_error`), and rounded
            up to float64.
        checked: number of them at which the form was also compared with an independent float64 evaluation.

    Raises:
        ValueError: the logits' range has no such scale.
        ArithmeticError: the float64 evaluation contradicts the error: a mistake in the lowering.
    """
    channels = len(low)
    pairs = [affine.at(c) for c in range(channels)]
    largest_acc = max(int(np.abs(low).max()), int(np.abs(high).max()), 1)
    left = max(31 - largest_acc.bit_length(), 0)
    largest = max(
        max(abs(f * int(low[c]) + o), abs(f * int(high[c]) + o), abs(o), abs(f * largest_acc))
        for c, (f, o) in enumerate(pairs)
    )
    steepest = max(abs(f) for f, _ in pairs) * Fraction(2) ** (32 - left)
    bound = max(largest / 2**29, steepest / (_INT32 - 1), Fraction(1, 2**60))
    if bound > _LARGEST_SCALE:  # it may be beyond floating point
        raise ValueError("the logits are too large for fixed point")
    exponent = math.ceil(math.log2(bound))
    scale = Fraction(2) ** exponent
    scale = scale * 2 if scale < bound else scale
    if scale > _LARGEST_SCALE:
        raise ValueError("the logits are too large for fixed point")
    multiplier = np.array([round(f / scale * Fraction(2) ** (32 - left)) for f, _ in pairs], np.int64)
    # >> rounds down; half a step more makes that rounding to nearest.
    offset = np.array([math.floor(o / scale + Fraction(1, 2)) for _, o in pairs], np.int64)
    exact_signs = None
    if signs:
        shifts = [
            sign_shift(pair, (int(multiplier[c]), int(offset[c]), left), int(low[c]), int(high[c]))
            for c, pair in enumerate(pairs)
        ]
        offset += np.array([shift or 0 for shift in shifts], np.int64)
        exact_signs = None not in shifts
    form = MultiplierRequantize(multiplier.astype(np.int32), offset.astype(np.int32), left, 0, -(2**31), 2**31 - 1)
    if not form.overflow_free(low, high):
        raise ValueError("the logits overflow int32")
    errors = [
        largest_error(RoundedLine(int(m) << left, 0, 1 << 32, int(b)), scale, f, o, int(low[c]), int(high[c]))
        for c, ((f, o), m, b) in enumerate(zip(pairs, form.multiplier, form.offset, strict=True))
    ]
    # The levels rise or fall with the accumulator, so its ends give their ends.
    ends = np.concatenate([form.apply(low), form.apply(high)])
    certificate = Certificate(
        form.kind,
        False,
        channels=channels,
        accumulators=int((high - low + 1).sum()),
        checked=_compare(form, pairs, scale, low, high, errors),
        largest_error=float_above(max(errors)),
        exact_signs=exact_signs,
    )
    return Certified(replace(form, minimum=int(ends.min()), maximum=int(ends.max())), certificate), scale


def _compare(
    form: MultiplierRequantize,
    pairs: list[tuple[Fraction, Fraction]],
    scale: Fraction,
    low: Integers,
    high: Integers,
    errors: list[Fraction],
) -> int:
    """Compare the form with float64 at evenly spread accumulators of each channel; returns how many."""
    count = 0
    for c, (factor, offset) in enumerate(pairs):
        acc = np.unique(low[c] + (high[c] - low[c]) * np.arange(_SAMPLES, dtype=np.int64) // (_SAMPLES - 1))
        level = of_channels(form, [c]).apply(acc[:, None])[:, 0]
        exact = acc * float(factor) + float(offset)
        # Three float64 roundings of numbers below `size` enter the difference.
        size = float(np.abs(exact).max()) + abs(float(offset))
        if np.abs(level * float(scale) - exact).max() > float(errors[c]) + 4 * size * 2.0**-53:
            raise ArithmeticError(f"the logits of channel {c} contradict the float64 evaluation")
        count += len(acc)
    return count
