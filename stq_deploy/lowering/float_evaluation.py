"""QKeras's activations in float64, written from its formulas and independently of `step_function`.

`certify` uses it to check the exact thresholds. Both ends of an interval around the true value go through the same
formulas. Where both give one level, the exact level must be that one. Where they differ, at a rounding tie, it must be
between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.functions import FUNCTIONS
from stq_deploy.lowering.stages import Affine, Clip, Curved, Leaky, Monotone, Stage

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_RELATIVE = 1e-9  # relative to the terms of a sum; float64's own error is 1e-16
_ABSOLUTE = 1e-13
_DEFAULT_TERNARY_THRESHOLD = 0.33


def level_bounds(
    stages: Sequence[Stage], quantizer: Quantizer, channel: int, acc: Integers
) -> tuple[Integers, Integers]:
    """(lowest, highest) possible level for accumulators `acc` of a channel, given float64's error."""
    low = high = acc.astype(np.float64)
    for stage in stages:
        if isinstance(stage, Affine):
            factor, offset = (float(part) for part in stage.at(channel))
            ends = low * factor, high * factor
            error = _RELATIVE * (np.maximum(np.abs(ends[0]), np.abs(ends[1])) + abs(offset)) + _ABSOLUTE
            low = np.minimum(*ends) + offset - error
            high = np.maximum(*ends) + offset + error
        else:
            low, high = (_through(stage, end) for end in (low, high))
    return quantized_level(quantizer, low), quantized_level(quantizer, high)


def quantized_level(quantizer: Quantizer, v: Reals) -> Integers:
    """Level of QKeras's quantizer at v: its output divided by its step."""
    return _QUANTIZERS[quantizer.name](quantizer, v).astype(np.int64)


def _sigmoid_function(v: Reals) -> Reals:
    return 1.0 / (1.0 + np.exp(-np.clip(v, -700.0, 700.0)))


def _relu(quantizer: Quantizer, v: Reals) -> Reals:
    slope = quantizer.number("negative_slope")
    m = 2.0 ** (quantizer.integer("bits") - (slope != 0))
    p = v * m / 2.0 ** quantizer.integer("integer")
    if quantizer.flag("use_sigmoid"):
        p = np.clip(0.5 * p + 0.5 * m, 0.0, m)
        level = np.clip(2.0 * np.rint(p) - m, 0.0, m - 1)
        level += np.clip(2.0 * np.rint(p * slope) - m * slope, -slope * m, 0.0)
    else:
        level = np.clip(np.rint(p), 0.0, m - 1) + np.clip(np.rint(p * slope), -slope * m, 0.0)
    bound = quantizer.number("relu_upper_bound")
    if bound and not quantizer.flag("is_quantized_clip"):
        level = np.minimum(level, bound * m / 2.0 ** quantizer.integer("integer"))
    return level / min(1.0, slope * m or 1.0)  # a slope below one level: levels are that much finer


def _bits(quantizer: Quantizer, v: Reals) -> Reals:
    negative = quantizer.flag("keep_negative")
    unsigned = quantizer.integer("bits") - negative
    if unsigned == 0:
        return np.where(v >= 0, 1.0, -1.0)
    m = 2.0**unsigned
    return np.clip(
        np.rint(v * m / 2.0 ** quantizer.integer("integer")),
        negative * (-m + quantizer.flag("symmetric")),
        m - 1,
    )


def _linear(quantizer: Quantizer, v: Reals) -> Reals:
    alpha = quantizer.parameters["alpha"]
    return _bits(quantizer, v if alpha is None else v / float(np.float32(alpha)))


def _sigmoid(quantizer: Quantizer, v: Reals) -> Reals:
    m = 2.0 ** quantizer.integer("bits")
    return np.clip(np.rint(_sigmoid_function(v) * m), float(quantizer.flag("symmetric")), m - 1)


def _tanh(quantizer: Quantizer, v: Reals) -> Reals:
    m = 2.0 ** (quantizer.integer("bits") - 1)
    return np.clip(np.rint(np.tanh(v) * m), -m + quantizer.flag("symmetric"), m - 1)


def _ternary(quantizer: Quantizer, v: Reals) -> Reals:
    threshold = float(np.float32(quantizer.number("threshold") or _DEFAULT_TERNARY_THRESHOLD))
    return np.where(np.abs(v) >= threshold, np.sign(v), 0.0)


def _binary(quantizer: Quantizer, v: Reals) -> Reals:
    return np.where(v >= 0, 1.0, 0.0 if quantizer.flag("use_01") else -1.0)


def _affine(quantizer: Quantizer, v: Reals) -> Reals:
    scale = float(Fraction(str(quantizer.parameters["scale"])))
    return np.clip(np.floor(v / scale + 0.5), quantizer.integer("low"), quantizer.integer("high"))


def _grid(quantizer: Quantizer, v: Reals) -> Reals:
    scale = float(Fraction(str(quantizer.parameters["scale"])))
    parts, odd = quantizer.integer("parts"), quantizer.integer("odd")
    p = v / scale if parts == 1 else np.rint(v * parts / scale) / parts
    rounded = _GRID_ROUNDINGS[str(quantizer.parameters["rounding"])](p + odd) - odd
    return np.clip(rounded, quantizer.integer("low"), quantizer.integer("high"))


_GRID_ROUNDINGS: dict[str, Callable[[Reals], Reals]] = {
    "half_even": np.rint,
    "half_up": lambda p: np.copysign(np.floor(np.abs(p) + 0.5), p),
    "half_down": lambda p: np.copysign(np.ceil(np.abs(p) - 0.5), p),
    "floor": np.floor,
    "ceil": np.ceil,
    "up": lambda p: np.copysign(np.ceil(np.abs(p)), p),
    "down": np.trunc,
}


def _stated(quantizer: Quantizer, v: Reals) -> Reals:
    scale = np.float32(float(Fraction(str(quantizer.parameters["scale"]))))
    quotient = v.astype(np.float32) / scale
    nearest: Reals = np.sign(quotient) * np.floor(np.abs(quotient.astype(np.float64)) + 0.5)
    return np.clip(nearest, quantizer.integer("low"), quantizer.integer("high"))


def _through(stage: Clip | Leaky | Monotone | Curved, v: Reals) -> Reals:
    if isinstance(stage, Clip):
        low = -np.inf if stage.low is None else float(stage.low)
        high = np.inf if stage.high is None else float(stage.high)
        return np.clip(v, low, high)
    if isinstance(stage, Leaky):
        return np.where(v < 0, v * float(stage.slope), v)
    if stage.function == "sigmoid":
        return _sigmoid_function(v)
    with np.errstate(over="ignore"):  # an exponential beyond every level
        return FUNCTIONS[stage.function].floats(v, stage.parameters).astype(np.float64)


_QUANTIZERS = {
    "quantized_relu": _relu,
    "quantized_bits": _bits,
    "quantized_linear": _linear,
    "quantized_sigmoid": _sigmoid,
    "quantized_tanh": _tanh,
    "ternary": _ternary,
    "binary": _binary,
    "affine": _affine,
    "grid": _grid,
    "stated": _stated,
}
