"""The requantization forms as ONNX's arithmetic of int64, written from the forms' formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.requantize import (
    Form,
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    RoundedRequantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
from stq_deploy.onnx_export.builder import GraphBuilder


@dataclass(frozen=True)
class SumTensor:
    """An int64 accumulator in a graph.

    Attributes:
        name: of the value.
        axes: number of axes behind the channels' axis, which is 1: 2 for images, 0 for vectors.
    """

    name: str
    axes: int

    def rows(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """A number for each channel, in the shape that ONNX broadcasts along the channels."""
        return values.astype(np.int64).reshape(-1, *(1,) * self.axes)


def requantized(graph: GraphBuilder, acc: SumTensor, form: Form) -> str:
    """The level, int64."""
    return FORMS[type(form)](graph, acc, form)


def _multiplier(graph: GraphBuilder, acc: SumTensor, form: MultiplierRequantize) -> str:
    scaled = graph.times(acc.name, acc.rows(form.multiplier) << form.left_shift)
    total = graph.sum(graph.shift_right(scaled, 32), acc.rows(form.offset))
    return graph.clip(graph.shift_right(total, form.right_shift), form.minimum, form.maximum)


def _shift(graph: GraphBuilder, acc: SumTensor, form: ShiftRequantize) -> str:
    value, shift = graph.sum(acc.name, acc.rows(form.offset)), acc.rows(form.shift)
    if (shift > 0).any():
        below_half = np.where(shift > 0, (np.int64(1) << np.maximum(shift - 1, 0)) - 1, 0)
        odd = graph.add("Mod", [graph.shift_right(value, shift), graph.constant(2)])
        raised = graph.add("Add", [graph.sum(value, below_half), graph.times(odd, (shift > 0).astype(np.int64))])
        value = graph.shift_right(raised, shift)
    return graph.clip(graph.sum(value, form.zero_point), form.minimum, form.maximum)


def _wide(graph: GraphBuilder, acc: SumTensor, form: WideRequantize) -> str:
    total = graph.sum(graph.times(acc.name, acc.rows(form.multiplier)), acc.rows(form.offset))
    return graph.clip(graph.shift_right(total, acc.rows(form.shift)), form.minimum, form.maximum)


def _long(graph: GraphBuilder, acc: SumTensor, form: LongRequantize) -> str:
    fine = graph.shift_right(graph.times(acc.name, acc.rows(form.fraction)), 32)
    whole = graph.times(acc.name, acc.rows(form.multiplier))
    total = graph.sum(graph.add("Add", [whole, fine]), acc.rows(form.offset))
    levels = graph.shift_right(total, acc.rows(form.shift))
    above = graph.add("Max", [levels, graph.constant(acc.rows(form.lowest))])
    return graph.add("Min", [above, graph.constant(acc.rows(form.highest))])


def _rounded(graph: GraphBuilder, acc: SumTensor, form: RoundedRequantize) -> str:
    shift = acc.rows(form.shift)
    left, right = form.left_shift + np.maximum(shift, 0), np.maximum(-shift, 0)
    value = graph.sum(acc.name, acc.rows(form.offset))
    scaled = graph.times(value, acc.rows(form.multiplier) << left)
    product = graph.shift_right(graph.sum(scaled, 2**30), 31)
    if (right > 0).any():
        half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
        below = graph.times(graph.shift_right(product, 40), (right > 0).astype(np.int64))  # -1 below 0
        product = graph.shift_right(graph.add("Add", [graph.sum(product, half), below]), right)
    return graph.clip(graph.sum(product, form.zero_point), form.minimum, form.maximum)


def _threshold(graph: GraphBuilder, acc: SumTensor, form: ThresholdRequantize) -> str:
    signed = graph.times(acc.name, acc.rows(form.sign))
    count = form.thresholds.shape[1]
    if count == 0:
        return graph.sum(graph.times(signed, 0), form.minimum)
    apart = graph.add("Unsqueeze", [signed, graph.constant([-1])])
    thresholds = form.thresholds.astype(np.int64).reshape(-1, *(1,) * acc.axes, count)
    reached = graph.cast(graph.add("GreaterOrEqual", [apart, graph.constant(thresholds)]), np.int64)
    return graph.sum(graph.add("ReduceSum", [reached, graph.constant([-1])], keepdims=0), form.minimum)


def _table(graph: GraphBuilder, acc: SumTensor, form: TableRequantize) -> str:
    rows, entries = form.table.shape
    starts = np.arange(form.channels) * (entries if rows > 1 else 0)
    places = graph.sum(acc.name, acc.rows(starts) - form.base)
    return graph.add("Gather", [graph.constant(form.table.astype(np.int64).ravel()), places], axis=0)


def _keep(graph: GraphBuilder, acc: SumTensor, form: KeepAccumulator) -> str:
    return acc.name


FORMS: dict[type[Form], Callable[[GraphBuilder, SumTensor, Any], str]] = {
    MultiplierRequantize: _multiplier,
    ShiftRequantize: _shift,
    WideRequantize: _wide,
    LongRequantize: _long,
    RoundedRequantize: _rounded,
    ThresholdRequantize: _threshold,
    TableRequantize: _table,
    KeepAccumulator: _keep,
}
