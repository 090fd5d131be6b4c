"""Quantized values of stored numbers, as integers times a unit; `quantizer_arithmetic` has QKeras's own operations.

QKeras computes a quantized number as `x + stop_gradient(-x + s*k)`. In float32 that can differ from `s*k` by a unit in
the last place; the integer network means `s*k` exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.quantizer_arithmetic import Reals, quantize
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import AffineNode, BatchNormNode, FloatArray, Node

LARGEST_SPAN = 14  # span of powers of two in one kernel that 16-bit integers hold


def quantized_integers(values: FloatArray, quantizer: Quantizer, layer: str) -> tuple[npt.NDArray[np.int64], Reals]:
    """Integers shaped like `values`, and the real value of integer 1: float64 > 0, broadcastable to them.

    Raises:
        StqError: QKeras's values are not integers times a unit, or it cannot compute them; `layer` is named.
    """
    quantized, unit = _evaluated(values, quantizer, layer)
    if quantizer.powers_of_two:
        unit = _smallest_power(quantized, quantizer, layer)
    unit = np.where(unit == 0, 1.0, unit)
    if not np.isfinite(quantized).all() or not (np.isfinite(unit) & (unit > 0)).all():
        raise _inexact(layer, quantizer, "gives NaN, infinity or a negative scale")
    integers = np.rint(quantized / unit)
    # 2**-21 of the magnitudes that entered is four units in float32's last place.
    allowed = 2.0**-21 * (np.abs(values) + np.abs(quantized))
    if (np.abs(quantized - integers * unit) > allowed).any():
        raise _inexact(layer, quantizer, "gives weights that are not integers times its scale")
    return integers.astype(np.int64), unit


def quantized_numbers(values: FloatArray, quantizer: Quantizer | None, layer: str) -> Reals:
    """The quantized numbers, exact, shaped like `values`; without a quantizer these themselves.

    Raises:
        StqError: as `quantized_integers`.
    """
    if quantizer is None:
        return values.astype(np.float64)
    if quantizer.powers_of_two:
        return _evaluated(values, quantizer, layer)[0]  # exact as they are, however far apart
    integers, unit = quantized_integers(values, quantizer, layer)
    return integers * unit


def with_quantized_numbers(node: Node, quantizers: Mapping[str, Quantizer]) -> Node:
    """The node with some of its numbers quantized: `quantizers` by the name of the field.

    Raises:
        StqError: as `quantized_integers`; or a quantized variance is negative.
    """
    fields: dict[str, tuple[Fraction, ...] | Reals] = {}
    for name, quantizer in quantizers.items():
        stored = np.array([float(number) for number in getattr(node, name)], np.float32)
        numbers = quantized_numbers(stored, quantizer, node.layer)
        exact_fractions = isinstance(node, AffineNode)
        fields[name] = tuple(Fraction(number) for number in numbers.tolist()) if exact_fractions else numbers
    node = replace(node, **fields)  # type: ignore[arg-type]  # fields of numbers, as `quantizers` names them
    if isinstance(node, BatchNormNode) and (node.variance + np.float32(node.epsilon) <= 0).any():
        raise unsupported(
            node.layer, str(quantizers["variance"]), "the quantized variance plus epsilon is not above 0",
            next="use QKeras's own variance_quantizer, quantized_relu_po2(6,quadratic_approximation=True)",
        )  # fmt: skip
    return node


def _smallest_power(quantized: Reals, quantizer: Quantizer, layer: str) -> Reals:
    """The smallest of several powers of two; all are integer multiples of it."""
    exponents = np.frexp(quantized)[1] - 1
    low, high = int(exponents.min()), int(exponents.max())
    if high - low > LARGEST_SPAN or (quantized == 0).any():
        raise unsupported(
            layer, quantizer.name, f"the quantizer {quantizer} gives powers of two from 2**{low} to 2**{high}",
            next=f"use fewer bits, such as {quantizer.name}(4), and train again: "
            f"the largest may be 2**{LARGEST_SPAN} times the smallest",
            cause="a weight of 0 becomes the smallest power of all, and the weights are stored as 16-bit integers",
        )  # fmt: skip
    return np.asarray(2.0**low)


def _evaluated(values: FloatArray, quantizer: Quantizer, layer: str) -> tuple[Reals, Reals]:
    """QKeras's quantized values, and the value of integer 1 (0 for powers of two, which have none)."""
    try:
        result = quantize(values, quantizer)
    except (TypeError, ValueError) as error:
        raise _inexact(layer, quantizer, "cannot be computed: QKeras itself fails") from error
    return result.values, result.unit


def _inexact(layer: str, quantizer: Quantizer, what: str) -> StqError:
    return unsupported(
        layer, quantizer.name, f"the quantizer {quantizer} {what}",
        next="use quantized_bits(8,0,1,alpha='auto_po2'), or ternary(alpha='auto_po2')",
        cause="the stored weights and the quantizer's settings do not belong together",
    )  # fmt: skip
