"""Whether bounds leave only one class: by the logits' ends, and by the last layer's differences of two classes.

The difference of two logits is one sum of the last layer's inputs, and its bound is nearer than that of two sums. A
network answers with the lowest of equal logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.certificates.bounds import Interval
from stq_deploy.network import Network
from stq_deploy.network.ops import Dense, Op, Reshape
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize, WideRequantize

Exact = npt.NDArray[np.object_]
"""Python integers: multipliers of 63 bits times weights times levels pass int64."""


@dataclass(frozen=True)
class _LinearForm:
    """Logit c is `clamp(floor((sum_k x_k weights[k, c] + offset[c]) / 2**shift), minimum, maximum)`."""

    weights: Exact
    offset: Exact
    shift: int
    minimum: int
    maximum: int

    @classmethod
    def of(cls, op: Dense) -> _LinearForm | None:
        """None for a requantization that is not such a function."""
        form, weights = op.requantize, op.weights.astype(object)
        if isinstance(form, KeepAccumulator):
            return cls(weights, np.zeros(form.channels, object), 0, form.minimum, form.maximum)
        if isinstance(form, MultiplierRequantize):
            # Two roundings down, one after the other, are one.
            factors = form.multiplier.astype(object) * (1 << form.left_shift)
            offset = form.offset.astype(object) * 2**32
            return cls(weights * factors, offset, 32 + form.right_shift, form.minimum, form.maximum)
        if isinstance(form, WideRequantize):
            shift = int(form.shift.max())
            scale = np.array([1 << (shift - int(s)) for s in form.shift], object)
            factors, offset = form.multiplier.astype(object) * scale, form.offset.astype(object) * scale
            return cls(weights * factors, offset, shift, form.minimum, form.maximum)
        return None

    def least_difference(self, low: Exact, high: Exact, label: int) -> Exact:
        """Lower bounds (C,) of the label's number less each class's, both before the division, for x in low..high."""
        weights = self.weights[:, [label]] - self.weights
        ends = np.minimum(weights * low[:, None], weights * high[:, None])
        least: Exact = ends.sum(axis=0) + self.offset[label] - self.offset
        return least


def only_class(network: Network, bounds: dict[str, Interval], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether every picture within the bounds gets its label's class, (N,), for a network whose largest logit counts.

    Args:
        bounds: of every tensor, as `propagate` gives them.
        labels: (N,).
    """
    logits = bounds[network.outputs[0]]
    count = len(labels)
    low, high = logits.low.reshape(count, -1), logits.high.reshape(count, -1)
    classes, own = np.arange(low.shape[1]), labels[:, None]
    best = low[np.arange(count), labels][:, None]
    wins: npt.NDArray[np.bool_] = (best > high) | ((best == high) & (own < classes)) | (classes == own)
    op = _last(network)
    linear = _LinearForm.of(op) if isinstance(op, Dense) else None
    if linear is not None:
        assert isinstance(op, Dense)
        x, zero = bounds[op.inputs[0]], network.tensors[op.inputs[0]].zero_point
        for i in np.flatnonzero(~wins.all(axis=1)):
            ends = [(end[i] - zero).astype(object) for end in (x.low, x.high)]
            difference = linear.least_difference(ends[0], ends[1], int(labels[i]))
            above = difference >= (1 << linear.shift)
            # At a clamp different numbers become equal.
            clear = (high[i] < linear.maximum) & (best[i] > linear.minimum)
            wins[i] |= np.where(classes > labels[i], difference >= 0, above & clear).astype(np.bool_)
    proved: npt.NDArray[np.bool_] = np.all(wins, axis=1)
    return proved


def _last(network: Network) -> Op | None:
    """The op that computes the logits; None if they are the input itself."""
    by_output = {op.output: op for op in network.ops}
    op = by_output.get(network.outputs[0])
    while isinstance(op, Reshape):
        op = by_output.get(op.inputs[0])
    return op
