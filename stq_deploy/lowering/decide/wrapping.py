"""Decides how a value becomes levels that wrap: as any quantizer where no reachable value overflows, else exactly.

An overflow is undone in integers. The value is rounded to levels that hold all of its range. The whole lengths of the
range that each lies outside are another tensor of levels, and their difference is the wrapped level.
"""

from __future__ import annotations

import math
from fractions import Fraction

from stq_deploy.frontend.quantizers import Quantizer, affine_quantizer, grid_quantizer
from stq_deploy.frontend.source import WrapNode
from stq_deploy.lowering.decide.quantized import quantized
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Combination, Expression, TensorValue, channel_bounds
from stq_deploy.lowering.stages import Affine, chain
from stq_deploy.network.ops import Add
from stq_deploy.network.tensor import fits

_HALF = Fraction(1, 2)


def wrapped(tensors: Tensors, value: Expression, node: WrapNode, layer: str) -> TensorValue:
    """The levels of a WrapNode.

    Args:
        layer: the Keras layer whose output this is, or "".

    Raises:
        StqError: values overflow, and their range has more than 16 bits of levels; or there is no exact integer form.
    """
    channels = node.shape[-1]
    ranges = [(node.low[c % len(node.low)], node.count[c % len(node.count)]) for c in range(channels)]
    least, most = min(low for low, _ in ranges), max(low + count - 1 for low, count in ranges)
    ends = [tuple(_round(end / node.step, node.rounding) for end in bounds) for bounds in channel_bounds(value)]
    if all(low <= a and b < low + count for (a, b), (low, count) in zip(ends, ranges, strict=True)):
        return quantized(tensors, value, _rounding(least, most, node), node.layer, layer)
    low, high = min(0, *(a for a, _ in ends)), max(0, *(b for _, b in ends))
    if not fits("int16", low, high):
        raise lowering_error(
            node.layer,
            f"its quantizer wraps, and its input may reach {low} to {high} of its steps, which are more than 16 bits",
            "train it with overflow_mode='SAT', or with fewer fractional bits",
        )
    wide = quantized(tensors, value, _rounding(low, high, node), node.layer, "")
    laps = _laps(tensors, wide, node, ranges)
    difference = Combination(node.layer, False, Add, (Expression(wide), Expression(laps)), node.shape, (1, -1))
    return quantized(tensors, Expression(difference), affine_quantizer(least, most, node.step), node.layer, layer)


def _laps(tensors: Tensors, wide: TensorValue, node: WrapNode, ranges: list[tuple[int, int]]) -> TensorValue:
    """The whole lengths of the range that each level lies outside, as multiples of the step."""
    lengths = [
        [(end - low) // count for end in wide.real_levels] for low, count in ranges
    ]  # floor, at both ends of the levels
    least, most = min(0, *(a for a, _ in lengths)), max(0, *(b for _, b in lengths))
    inside = tuple(Fraction(-low) for low, _ in ranges)
    if len(set(ranges)) == 1:
        low, count = ranges[0]
        shifted = Expression(wide, chain(Affine((Fraction(1),), (-low * node.step,))))
        floor = grid_quantizer(least, most, count * node.step, "floor")
        return quantized(tensors, shifted, floor, node.layer, "")
    per_level = tuple(1 / (count * node.step) for _, count in ranges)
    offsets = tuple(offset / count for offset, (_, count) in zip(inside, ranges, strict=True))
    numbers = quantized(
        tensors,
        Expression(wide, chain(Affine(per_level, offsets))),
        grid_quantizer(least, most, Fraction(1), "floor"),
        node.layer,
        "",
    )
    levels = tuple(count * node.step for _, count in ranges)
    scaled = Expression(numbers, chain(Affine(levels, (Fraction(0),) * len(levels))))
    products = [count * n for (_, count), both in zip(ranges, lengths, strict=True) for n in both]
    return quantized(tensors, scaled, affine_quantizer(min(0, *products), max(0, *products), node.step), node.layer, "")


def _round(levels: Fraction, rounding: str) -> int:
    if rounding == "half_even":
        return round(levels)
    return math.floor(levels + _HALF) if rounding == "half_up" else math.floor(levels)


def _rounding(low: int, high: int, node: WrapNode) -> Quantizer:
    """The quantizer of these levels that rounds as the node does."""
    low, high = min(low, 0), max(high, 0)
    if node.rounding == "half_up":
        return affine_quantizer(low, high, node.step)
    return grid_quantizer(low, high, node.step, node.rounding)
