"""The weights that QKeras's quantizers give at inference, in NumPy, with every float32 operation of qkeras 0.9.0.

`quantized_linear`, which that release lacks, is as in QKeras's repository at commit 4eedf1e. The tests compare it
with qkeras itself. `tensorflow_arithmetic` has the operations that TensorFlow computes otherwise than NumPy.

A stochastic quantizer settles at inference: `stochastic_ternary` is then `ternary`, `stochastic_binary` is `binary`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.tensorflow_arithmetic import EPSILON, LN2, Floats, exp2, flushed, log, mean

Reals = npt.NDArray[np.float64]
_F = np.float32
_MOST_UNROLLS = 5
_TERNARY_THRESHOLD = 0.33  # QKeras's default, for a fixed scale


@dataclass(frozen=True)
class Quantized:
    """Quantized numbers.

    Attributes:
        values: shaped like the numbers; each is a float32, except for `quantized_linear` a level times its step.
        unit: the real value of integer 1, broadcastable to `values`; 0 for powers of two, which have no such unit.
    """

    values: Reals
    unit: Reals


def quantize(x: Floats, quantizer: Quantizer) -> Quantized:
    """Quantized numbers of a float32 array of one dimension or more.

    Raises:
        ValueError, TypeError: where QKeras itself fails.
    """
    with np.errstate(all="ignore"):  # a value that is not finite is the caller's to refuse
        return _QUANTIZERS[quantizer.name](flushed(np.asarray(x, np.float32)), quantizer)


def _quantized_bits(x: Floats, quantizer: Quantizer) -> Quantized:
    negative = int(quantizer.flag("keep_negative"))
    magnitude_bits, alpha = quantizer.integer("bits") - negative, quantizer.parameters["alpha"]
    m = _F(2.0**magnitude_bits)
    # 2**integer is an int32 in QKeras: 31 overflows, and the factor is negative.
    integer = operator.index(quantizer.parameters["integer"])  # type: ignore[arg-type]  # so that 4.0 is an error
    m_i = _F(2.0**integer if integer < 31 else -(2.0**31))
    if isinstance(alpha, str):
        x = flushed(x / m_i)
        levels, scale = _fitted_bits(x, quantizer)
        scale = scale * m
        steps, unit = m_i * levels / m, scale.astype(np.float64)
        x = flushed(m_i * x)
    else:
        scale = np.asarray(1.0 if alpha is None else alpha, _F)
        unit = np.asarray(1.0 if alpha is None else alpha, np.float64)
        if magnitude_bits > 0:
            symmetric = _F(quantizer.flag("symmetric"))
            rounded = _through(np.rint, flushed(flushed(x * m) / m_i))
            steps = m_i * np.clip(rounded, negative * (-m + symmetric), m - _F(1)) / m
        else:
            steps = _sign_or_one(x)
    # The unit is that of integers: levels, which are whole, and not fractions.
    step = 2.0 ** (integer - magnitude_bits) if magnitude_bits > 0 else 1.0
    return Quantized(_blended(x, flushed(scale * steps)), unit * step)


def _fitted_bits(x: Floats, quantizer: Quantizer) -> tuple[Floats, Floats]:
    """Whole levels, and their step by alpha='auto' or 'auto_po2'."""
    bits = quantizer.integer("bits")
    most = _F((2 ** (bits - 1) - 1) * 2)
    axes = _reduced(x, quantizer.parameters["scale_axis"]) if x.ndim > 1 else (0,)
    magnitudes: Floats = np.abs(x)
    largest: Floats = magnitudes.max(axis=axes, keepdims=True)
    step = flushed(flushed(largest * _F(2)) / most)

    def levels() -> Floats:
        ratios: Floats = magnitudes / step
        whole = np.floor(flushed(ratios) + _F(0.5))
        signed: Floats = np.sign(x) * np.where(whole < most / _F(2), whole, most / _F(2))
        return signed

    if quantizer.parameters["alpha"] == "auto":
        return levels(), step
    step = _nearest_power(step)
    for _ in range(_MOST_UNROLLS):
        fitted = levels()
        step = _nearest_power(_least_squares(x, fitted, quantizer.parameters["scale_axis"]))
    return fitted, step


def _ternary(x: Floats, quantizer: Quantizer) -> Quantized:
    alpha, threshold = quantizer.parameters["alpha"], quantizer.parameters["threshold"]
    if quantizer.name == "stochastic_ternary" and threshold == 1:
        raise ValueError("qkeras asserts that the threshold is not 1")
    if not isinstance(alpha, str):
        if quantizer.parameters.get("use_stochastic_rounding"):
            raise ValueError("qkeras asserts that a fixed scale has no stochastic rounding")
        limit = _F(_TERNARY_THRESHOLD if threshold is None else threshold)
        return _times_fixed_scale(x, (np.abs(x) >= limit).astype(_F) * np.sign(x), alpha)
    # An untyped value of the file; what is not a whole number is a TypeError.
    unrolls = operator.index(quantizer.parameters["number_of_unrolls"])  # type: ignore[arg-type]  # as above
    if threshold is not None or not unrolls:
        raise ValueError("qkeras fits a scale without a threshold, in one step or more")
    axes = None if x.ndim == 1 else tuple(range(x.ndim - 1))
    scale = flushed(flushed(_F(2) * np.abs(x).max(axis=axes, keepdims=True)) / _F(3))
    if alpha == "auto_po2":
        scale = _nearest_power(scale)
    for _ in range(unrolls):
        rounded = flushed(scale * _through(np.rint, flushed(x / scale)))
        signs = (np.abs(rounded) >= flushed(scale / _F(2))).astype(_F) * np.sign(x)
        scale = _fitted_scale(x, signs, alpha)
    return Quantized(_straight_through(x, flushed(scale * signs)), scale.astype(np.float64))


def _binary(x: Floats, quantizer: Quantizer) -> Quantized:
    alpha, signs = quantizer.parameters["alpha"], _sign_or_one(x)
    if quantizer.parameters.get("use_01"):
        signs = (signs + _F(1)) / _F(2)
    if not isinstance(alpha, str):
        return _times_fixed_scale(x, signs, alpha)
    scale = _fitted_scale(x, signs, alpha)
    return Quantized(_straight_through(x, flushed(scale * signs)), scale.astype(np.float64))


def _times_fixed_scale(x: Floats, signs: Floats, alpha: float | int | None) -> Quantized:
    """-1, 0 and 1 times a scale that is given.

    Without one QKeras adds the difference to tanh(x), which is off the sign by 2**-24 at most: here it is the sign.
    """
    if alpha is None:
        return Quantized(np.where(np.isnan(x), np.nan, signs.astype(np.float64)), np.asarray(1.0))
    return Quantized(_straight_through(x, flushed(_F(alpha) * signs)), np.asarray(float(alpha), np.float64))


def _quantized_po2(x: Floats, quantizer: Quantizer) -> Quantized:
    magnitude_bits = quantizer.integer("bits") - 1
    exponents = _exponents(np.abs(x), quantizer, magnitude_bits)
    return Quantized(_blended(x, _sign_or_one(x) * exp2(exponents)), np.asarray(0.0))


def _quantized_relu_po2(x: Floats, quantizer: Quantizer) -> Quantized:
    slope, bits = _F(quantizer.number("negative_slope")), quantizer.integer("bits")
    above = exp2(_exponents(np.maximum(x, _F(0)), quantizer, bits))
    below = -exp2(_exponents(flushed(np.maximum(-x, _F(0)) * slope), quantizer, bits))
    return Quantized(_blended(x, np.where((x >= 0) | (slope == 0), above, below)), np.asarray(0.0))


def _exponents(magnitudes: Floats, quantizer: Quantizer, bits: int) -> Floats:
    """QKeras's `_clip_power_of_two`; `bits` include the exponent's sign where the exponents need one."""
    bound = quantizer.parameters["max_value"]
    needs_sign = bound is None or quantizer.number("max_value") > 1
    least, most = -(2 ** (bits - needs_sign)), 2 ** (bits - needs_sign) - 1
    quadratic = quantizer.flag("quadratic_approximation")
    if quadratic:
        most = 2 * (most // 2)
    clipped = np.where(magnitudes < EPSILON, EPSILON, magnitudes)
    if bound is not None:
        clipped = np.minimum(clipped, _F(quantizer.number("max_value")))
    to_whole = np.floor if quantizer.parameters["log2_rounding"] == "floor" else np.rint
    whole = _through(to_whole, log(np.sqrt(clipped) if quadratic else clipped) / LN2)
    exponents = np.clip(whole, _F(least), _F(most)) * _F(2 if quadratic else 1)
    return np.where(magnitudes < EPSILON, _F(least), exponents)


def _quantized_linear(x: Floats, quantizer: Quantizer) -> Quantized:
    negative, alpha = int(quantizer.flag("keep_negative")), quantizer.parameters["alpha"]
    bits = quantizer.integer("bits")
    if bits == 1 and negative:
        low, high, shift = _F(-0.5), _F(0.5), _F(0.5)
    else:
        high = _F(2.0 ** (bits - negative) - 1)
        low, shift = _F(negative * (quantizer.flag("symmetric") - 2.0 ** (bits - negative))), _F(0)

    def levels(step: Floats) -> Floats:
        whole: Floats = np.rint(np.clip(flushed(x / step), low, high) - shift) + shift
        return whole

    if isinstance(alpha, str):
        step = _fitted_linear_step(x, quantizer, _F(high - low), levels, 1 if shift else _MOST_UNROLLS)
    else:
        step = np.asarray(
            _F(1.0 if alpha is None else alpha) * _F(2.0 ** (quantizer.integer("integer") - bits + negative))
        )
    exact = step.astype(np.float64)
    return Quantized(levels(step).astype(np.float64) * exact, exact * (0.5 if shift else 1.0))


def _fitted_linear_step(
    x: Floats, quantizer: Quantizer, span: np.float32, levels: Callable[[Floats], Floats], unrolls: int
) -> Floats:
    step: Floats
    kept = quantizer.parameters["scale_axis"]
    # An untyped value of the file; what is not a whole number is a TypeError.
    kept = x.ndim - 1 if kept is None else kept
    axes = tuple(axis for axis in range(x.ndim) if axis != kept)
    if quantizer.flag("keep_negative"):
        step = flushed(np.abs(x).max(axis=axes, keepdims=True) * _F(2)) / span
    else:
        step = x.max(axis=axes, keepdims=True) / span
    step = np.maximum(step, EPSILON)
    if quantizer.parameters["alpha"] == "auto":
        return step
    step = _nearest_power(step)
    for _ in range(unrolls):
        fitted = levels(step)
        products, squares = mean(flushed(x * fitted), axes), mean(fitted * fitted, axes)
        step = _nearest_power(flushed(products / (squares + EPSILON)))
    return step


def _fitted_scale(x: Floats, levels: Floats, alpha: str, scale_axis: object = None) -> Floats:
    scale = _least_squares(x, levels, scale_axis)
    return _nearest_power(scale) if alpha == "auto_po2" else scale


def _least_squares(x: Floats, levels: Floats, scale_axis: object = None) -> Floats:
    """QKeras's `_get_scale`: mean(x * levels) / mean(levels**2); a vector's elements have a scale each."""
    products, squares = flushed(x * levels), levels * levels
    if x.ndim > 1:
        axes = _reduced(x, scale_axis)
        products, squares = mean(products, axes), mean(squares, axes)
    return flushed(products / (squares + EPSILON))


def _reduced(x: Floats, scale_axis: object) -> tuple[int, ...]:
    """Axes over which a scale is common. As in QKeras, -1 leaves none out.

    Raises:
        ValueError, TypeError: not an axis of `x`.
    """
    kept = x.ndim - 1 if scale_axis is None else operator.index(scale_axis)  # type: ignore[arg-type]  # untyped
    axes = (*range(kept), *range(kept + 1, x.ndim))
    if axes and axes[-1] >= x.ndim:
        raise ValueError(f"no axis {kept}")
    return axes


def _nearest_power(scale: Floats) -> Floats:
    return exp2(np.rint(log(scale + EPSILON) / LN2))


def _sign_or_one(x: Floats) -> Floats:
    return np.where(x < 0, _F(-1), _F(1))


def _through(to_whole: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Rounded numbers, added as a straight-through estimator adds them: infinity becomes NaN."""
    result: Floats = x + (-x + to_whole(x))
    return result


def _straight_through(x: Floats, quantized: Floats) -> Reals:
    """The estimator that `ternary` and `binary` cannot leave out; next to a large number a small scale is lost."""
    result: Reals = flushed(x + flushed(-x + quantized)).astype(np.float64)
    return result


def _blended(x: Floats, quantized: Floats) -> Reals:
    """QKeras's sum without the estimator: none of `x`, and all of the quantized number."""
    result: Reals = (_F(0) * x + quantized).astype(np.float64)
    return result


_QUANTIZERS: dict[str, Callable[[Floats, Quantizer], Quantized]] = {
    "quantized_bits": _quantized_bits,
    "quantized_linear": _quantized_linear,
    "ternary": _ternary,
    "stochastic_ternary": _ternary,
    "binary": _binary,
    "stochastic_binary": _binary,
    "quantized_po2": _quantized_po2,
    "quantized_relu_po2": _quantized_relu_po2,
}
