"""Interval bounds: the possible levels of a network's tensors while each input level stays between two ends.

The bounds are exact integers, computed with the network's own ops. A monotone function has its extremes at the ends; a
table's are looked up. Each op ignores dependencies between its inputs, so the intervals contain more than can occur:
what they do not prove may still be true. Gowal et al. 2018, arXiv:1810.12715, do this in floating point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.noise import noise_table
from stq_deploy.network.ops import (
    AveragePool,
    Concatenate,
    Crop,
    Curve,
    ElementwiseOp,
    FreshNoise,
    MaxPool,
    Op,
    Pad,
    PairTable,
    Reshape,
    Softmax,
    Table,
    Upsample,
    WeightedOp,
)
from stq_deploy.network.requantize import KeepAccumulator, Requantize, TableRequantize
from stq_deploy.network.tensor import TensorType

Integers = npt.NDArray[np.int64]

RISING = (MaxPool, Reshape, Pad, Crop, Upsample, Concatenate)
"""Ops that move levels or take the largest: nothing falls as an input rises."""


@dataclass(frozen=True)
class Interval:
    """Both ends of every element, int64 (N, *shape) each; low <= high."""

    low: Integers
    high: Integers


def propagate(network: Network, x: Interval) -> dict[str, Interval]:
    """Bounds of every tensor for inputs anywhere in `x`, (N, *input shape).

    With equal ends they are the levels of the reference, to the bit. Of a network with fresh noise they hold for every
    draw.

    Raises:
        OverflowError: the input's ends leave its range.
    """
    if not (network.input_type.holds(x.low) and network.input_type.holds(x.high)):
        raise OverflowError("input levels leave the input's range")
    found = {network.input: Interval(x.low.astype(np.int64), x.high.astype(np.int64))}
    for op in network.ops:
        output = network.tensors[op.output]
        found[op.output] = op_bounds(op, [found[name] for name in op.inputs], network.input_types(op), output)
    return found


def op_bounds(op: Op, inputs: Sequence[Interval], types: Sequence[TensorType], output: TensorType) -> Interval:
    """Bounds of one op's output.

    Raises:
        StqError: none are known of this kind of op.
    """
    if isinstance(op, WeightedOp):
        return _requantized(op.requantize, weighted_sums(op, inputs[0], types[0], output))
    if isinstance(op, AveragePool):
        kept = replace(op, requantize=_keep(output.channels))
        return _requantized(op.requantize, _at_ends(kept, inputs, types, output))
    if isinstance(op, ElementwiseOp):
        return _requantized(op.requantize, _accumulators(op, inputs, types))
    if isinstance(op, Table):
        return Extremes(op.table.astype(np.int64)).between([(inputs[0].low + 128, inputs[0].high + 128)])
    if isinstance(op, PairTable):
        entries = Extremes(op.table.astype(np.int64))
        return entries.between([(x.low - t.minimum, x.high - t.minimum) for x, t in zip(inputs, types, strict=True)])
    if isinstance(op, Curve):
        return _curve(op, inputs[0], types, output)
    if isinstance(op, Softmax):
        return _softmax(op, inputs[0])
    if isinstance(op, RISING):
        return _at_ends(op, inputs, types, output)
    if isinstance(op, FreshNoise):
        most = noise_table(op.sigma).largest
        ends = (inputs[0].low - most, inputs[0].high + most)
        return Interval(*(np.clip(end, output.minimum, output.maximum) for end in ends))
    raise StqError(
        f"no interval bounds are known of a {op.kind}",
        where=f"layer {op.name!r}",
        cause="the op was added to the integer network without them",
        next="add them in stq_deploy/evaluation/certificates/bounds.py (docs/DESIGN.md, `Adding things`)",
    )


def weighted_sums(op: WeightedOp, x: Interval, spec: TensorType, output: TensorType) -> Interval:
    """Bounds of the sums, not requantized.

    With middle m = low + high and width w = high - low, twice the ends are `W m - |W| w` and `W m + |W| w`.
    """
    zero = replace(spec, zero_point=0)
    kept = replace(op, requantize=_keep(output.channels))
    sizes = replace(kept, weights=np.abs(op.weights.astype(np.int64)))
    middle = kept.run([x.low + x.high - 2 * spec.zero_point], [zero], output)
    width = sizes.run([x.high - x.low], [zero], output)
    return Interval((middle - width) // 2, (middle + width) // 2)


def _keep(channels: int) -> KeepAccumulator:
    return KeepAccumulator(channels, -(2**31), 2**31 - 1)


def _at_ends(op: Op, inputs: Sequence[Interval], types: Sequence[TensorType], output: TensorType) -> Interval:
    return Interval(
        op.run([x.low for x in inputs], types, output),
        op.run([x.high for x in inputs], types, output),
    )


def _accumulators(op: ElementwiseOp, inputs: Sequence[Interval], types: Sequence[TensorType]) -> Interval:
    """Every accumulator is monotone in each input alone, so its extremes are at the corners."""
    ends = [(x.low - t.zero_point, x.high - t.zero_point) for x, t in zip(inputs, types, strict=True)]
    corners = [op.accumulate(corner) for corner in product(*ends)]
    return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))


def _requantized(form: Requantize, sums: Interval) -> Interval:
    """Every form except the table is monotone over its whole domain, for each channel."""
    if isinstance(form, TableRequantize):
        rows = np.broadcast_to(form.table, (form.channels, form.table.shape[1])).astype(np.int64)
        low, high = np.empty_like(sums.low), np.empty_like(sums.high)
        shared = Extremes(rows[0]) if form.table.shape[0] == 1 else None
        for c in range(form.channels):
            entries = shared or Extremes(rows[c])
            own = entries.between([(sums.low[..., c] - form.base, sums.high[..., c] - form.base)])
            low[..., c], high[..., c] = own.low, own.high
        return Interval(low, high)
    first, second = form.apply(sums.low), form.apply(sums.high)
    return Interval(np.minimum(first, second), np.maximum(first, second))


class Extremes:
    """Smallest and largest entry of any block of a table of one or two axes, by blocks of 2^k entries each.

    Two blocks that overlap cover every run of entries (Bender and Farach-Colton 2000, "The LCA problem revisited").
    """

    def __init__(self, table: Integers) -> None:
        self._blocks = [self._doubled(table, pick) for pick in (np.minimum, np.maximum)]
        self._axes = table.ndim

    def _doubled(self, table: Integers, pick: Any) -> dict[tuple[int, ...], Integers]:
        """For each (k, ...): entry i is the extreme of table[i : i + 2^k, ...]."""
        blocks = {(0,) * table.ndim: table}
        for axis, size in enumerate(table.shape):
            for k in range(1, size.bit_length()):
                for powers in [p for p in blocks if p[axis] == k - 1]:
                    shorter = np.moveaxis(blocks[powers], axis, 0)
                    half = 1 << (k - 1)
                    longer = pick(shorter[: len(shorter) - half], shorter[half:])
                    blocks[(*powers[:axis], k, *powers[axis + 1 :])] = np.moveaxis(longer, 0, axis)
        return blocks

    def between(self, ends: Sequence[tuple[Integers, Integers]]) -> Interval:
        """Extremes over first <= index <= last of each axis; arrays of one shape.

        Raises:
            IndexError: an index outside the table.
        """
        shape = ends[0][0].shape
        flat = [(first.ravel(), last.ravel()) for first, last in ends]
        for (first, last), size in zip(flat, self._blocks[0][(0,) * self._axes].shape, strict=True):
            if first.size and (first.min() < 0 or last.max() >= size or (first > last).any()):
                raise IndexError("an interval leaves its table")
        powers = np.stack([_power(last - first + 1) for first, last in flat])
        found = [np.empty(flat[0][0].shape, np.int64) for _ in self._blocks]
        for own in np.unique(powers, axis=1).T if powers.size else ():
            here = (powers == own[:, None]).all(axis=0)
            starts = [(f[here], last[here] - (1 << k) + 1) for (f, last), k in zip(flat, own.tolist(), strict=True)]
            for pick, blocks, result in zip((np.minimum, np.maximum), self._blocks, found, strict=True):
                block = blocks[tuple(own.tolist())]
                result[here] = pick.reduce([block[corner] for corner in product(*starts)])
        return Interval(found[0].reshape(shape), found[1].reshape(shape))


def _power(lengths: Integers) -> Integers:
    """The largest k with 2^k <= length; lengths below 2^53."""
    return np.frexp(lengths.astype(np.float64))[1].astype(np.int64) - 1


def _curve(op: Curve, x: Interval, types: Sequence[TensorType], output: TensorType) -> Interval:
    """Between two entries the curve is a rounded parabola: extremes are at the ends of a segment or at its vertex."""
    size, last = 1 << op.shift, (len(op.table) - 1) << op.shift

    def value(u: Integers) -> Integers:
        levels: Integers = op.run([u + op.base], types, output)
        return levels

    first, end = np.clip(x.low - op.base, 0, last), np.clip(x.high - op.base, 0, last)
    candidates = [value(first), value(end)]
    candidates.append(value(np.minimum(first | (size - 1), end)))  # the end of its segment
    candidates.append(value(np.maximum(end & ~np.int64(size - 1), first)))  # the begin of its segment
    vertices = _vertices(op)  # (2, entries): positions of each segment, in the segment
    for u in (first, end):
        segment = u >> op.shift
        for row in vertices:
            candidates.append(value(np.clip(row[segment], first, end)))
    entries = np.arange(len(op.table), dtype=np.int64) << op.shift
    in_segments = np.stack([value(row) for row in (entries, np.minimum(entries + size - 1, last), *vertices)])
    lows, highs = Extremes(in_segments.min(axis=0)), Extremes(in_segments.max(axis=0))
    inner_first, inner_last = (first >> op.shift) + 1, (end >> op.shift) - 1
    some = inner_first <= inner_last
    safe = [(np.where(some, inner_first, 0), np.where(some, inner_last, 0))]
    candidates.append(np.where(some, lows.between(safe).low, candidates[0]))
    candidates.append(np.where(some, highs.between(safe).high, candidates[0]))
    return Interval(np.minimum.reduce(candidates), np.maximum.reduce(candidates))


def _vertices(op: Curve) -> Integers:
    """The integers on both sides of each parabola's vertex, kept within its segment: (2, entries).

    The parabola is `f d 2^(s + 1) + f (f - 2^s) e`; its slope is 0 at f = 2^(s - 1) - d 2^s / e.
    """
    table = op.table.astype(np.int64)
    step = table[-1] - table[-2] if len(table) > 1 else np.int64(0)
    extended = np.concatenate([table, table[-1] + step * np.array([1, 2])])
    d, e = np.diff(extended)[:-1], np.diff(extended, 2)
    size, last = 1 << op.shift, (len(table) - 1) << op.shift
    divisor = np.where(e == 0, 1, 2 * e)
    below = np.where(e == 0, 0, (e * size - 2 * d * size) // divisor)
    starts = np.arange(len(table), dtype=np.int64) << op.shift
    return np.stack([np.minimum(starts + np.clip(below + more, 0, size - 1), last) for more in (0, 1)])


def _softmax(op: Softmax, x: Interval) -> Interval:
    """`e / (e + others)` rises with e and falls with the others; rounding keeps that."""
    table = op.table.astype(np.int64)
    top_low, top_high = (end.max(axis=-1, keepdims=True) for end in (x.low, x.high))
    least = table[np.minimum(top_high - x.low, len(table) - 1)]
    most = table[np.clip(top_low - x.high, 0, len(table) - 1)]

    def quotient(e: Integers, others: Integers) -> Integers:
        total = np.maximum(e + others, 1)  # 0 only where e is 0, and no input gives that
        rounded: Integers = ((e << op.OUTPUT_BITS) + total // 2) // total
        return np.minimum(rounded, (1 << op.OUTPUT_BITS) - 1)

    return Interval(
        quotient(least, most.sum(axis=-1, keepdims=True) - most),
        quotient(most, least.sum(axis=-1, keepdims=True) - least),
    )
