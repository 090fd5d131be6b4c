"""Decides the form of every value of a `SourceGraph`, node by node.

A weighted layer yields an accumulator. An `Expression` collects the scale, bias, batch norm and activations after it as
stages. A quantizer then turns the expression into levels, as one op (`quantized`). Sums and products of few-level
tensors become tables (`tables`). Values that are read unquantized are stored exactly or in fixed point (`tensors`).
The expressions left at the model's outputs are the logits (`outputs`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

import stq_deploy
from stq_deploy.common.progress import Progress, silent
from stq_deploy.frontend import source as s
from stq_deploy.lowering.decide.decision import Decision, Decisions, InputDecision, ValueForm, needed
from stq_deploy.lowering.decide.integers import integer_levels, integer_sum, integer_table
from stq_deploy.lowering.decide.operation import OPEN
from stq_deploy.lowering.decide.outputs import output_tensor
from stq_deploy.lowering.decide.quantized import quantized
from stq_deploy.lowering.decide.rounding import FEWEST_BITS, rounding_step
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.decide.wrapping import wrapped
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Accumulator,
    Combination,
    CombiningOp,
    Expression,
    Rearrangement,
    RearrangingNode,
    TensorValue,
    joined,
    leaves,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS, power_of_two
from stq_deploy.lowering.input_levels import LevelMap, find_input_levels, unknown_input
from stq_deploy.lowering.input_paths import STAGES
from stq_deploy.lowering.softmax import LEVELS, STEP, exponentials, largest_error
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Stage, batch_norm, chain, function_stage, shifted
from stq_deploy.lowering.step_function import step_function
from stq_deploy.lowering.structure import find_ending, find_last_step, find_live
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.metadata import DroppedLayer, Metadata, SourceFile
from stq_deploy.network.ops import (
    UNNAMED,
    Add,
    AveragePool,
    Convolve,
    Dense,
    DepthwiseConvolve,
    Maximum,
    Minimum,
    Multiply,
    Op,
    Rescale,
    Softmax,
    Table,
    WeightedOp,
)
from stq_deploy.network.output import LastStep
from stq_deploy.network.requantize import TableRequantize
from stq_deploy.network.tensor import TensorType, fits

_COMBINATIONS: dict[type[s.Node], tuple[CombiningOp, tuple[int, int]]] = {
    s.AddNode: (Add, (1, 1)),
    s.AverageNode: (Add, (1, 1)),
    s.SubtractNode: (Add, (1, -1)),
    s.MultiplyNode: (Multiply, (1, 1)),
    s.MaximumNode: (Maximum, (1, 1)),
    s.MinimumNode: (Minimum, (1, 1)),
}


CERTIFYING = "certifying layers"
"""The name of `decide` as a stage of `progress`."""


def decide(source: s.SourceGraph, progress: Progress = silent) -> Decisions:
    """All decisions about a checked model.

    Args:
        progress: called after every Keras layer; an interrupt there leaves nothing behind.

    Raises:
        UnknownInputError: no quantizer defines the input's levels.
        StqError: a combination of layers that has no integer form; the error says where and what to change.
    """
    return _NodeDecider(source).run(progress)


class _NodeDecider:
    def __init__(self, source: s.SourceGraph) -> None:
        self.source = source
        self.tensors = Tensors()
        self.values: dict[int, Expression] = {}
        self.last_of_layer = {node.layer: n for n, node in enumerate(source.nodes)}
        self.endings = [find_ending(source, n) for n in source.outputs]
        self.last_steps = [find_last_step(source, n) for n in source.outputs]
        self.outputs = tuple(ending.logits for ending in self.endings)
        self.dropped = list({k: v for ending in self.endings for k, v in ending.dropped.items()}.values())
        self.live = find_live(source, self.outputs)
        self.readers = Counter(m for n in self.live for m in set(source.nodes[n].inputs)) + Counter(set(self.outputs))
        levels = find_input_levels(source, sorted(self.live), self.outputs)
        if isinstance(levels, str):
            raise unknown_input(source.nodes[0].layer, levels)
        self.levels = levels
        self.input = TensorValue(levels.type, (levels.step,))

    def run(self, progress: Progress) -> Decisions:
        layers = list(dict.fromkeys(self.source.nodes[n].layer for n in sorted(self.live)))
        done: dict[str, None] = {}
        progress(CERTIFYING, 0, len(layers))
        for n, node in enumerate(self.source.nodes):
            if n not in self.live:
                continue
            if n in self.levels.walked and isinstance(node, STAGES):
                self.values[n] = self._input_stage(node)
            else:
                self.values[n] = self._shared(n, _DECIDE[type(node)](self, n, node))
            done[node.layer] = None
            progress(CERTIFYING, min(len(done), len(layers) - 1), len(layers))
        outputs = tuple(self._output(n) for n in self.outputs)
        progress(CERTIFYING, len(layers), len(layers))
        levels, name = self.levels, self.source.nodes[0].layer
        entry = InputDecision(self.input, name, levels.layer, levels.rounding)
        return Decisions(entry, needed(self.tensors.decisions, outputs), outputs, self._facts())

    def _is_whole(self, n: int) -> bool:
        """Whether node n is the last of its Keras layer and the layer has no half before it."""
        return self.last_of_layer[self.source.nodes[n].layer] == n

    def _layer_if_whole(self, n: int) -> str:
        # Keras moves, then quantizes; here the value is quantized before it is moved.
        return self.source.nodes[n].layer if self._is_whole(n) and n not in self.levels.walked else ""

    def _shared(self, n: int, value: Expression) -> Expression:
        """The value; its core is stored if several layers read it, so that a sum is computed once."""
        if self.readers[n] < 2 or leaves(Expression(value.core)) is not None:
            return value
        return replace(value, core=self.tensors.stored(value.core, self.source.nodes[n].layer))

    # Nodes to values

    def _input(self, n: int, node: s.InputNode) -> Expression:
        return Expression(self.input)

    def _input_stage(self, node: s.Node) -> Expression:
        """The functions that the host applies before it quantizes the input."""
        self.dropped.append(DroppedLayer(node.layer, "part of how the host quantizes the input"))
        return self.values[node.inputs[0]]

    def _level_map(self, n: int, node: s.QuantizeNode, levels: LevelMap) -> Expression:
        """One of several quantizers that read the input: its level is a function of the input's."""
        value = self._padded(self.values[node.inputs[0]], node.layer)
        x = self.tensors.stored(value.core, node.layer)
        table, steps = np.array(levels.levels, np.int8), levels.steps
        op: Op
        if x.type.dtype == "int8":
            op = Table(*UNNAMED, table=np.pad(table, (0, 256 - len(table)), mode="edge"))
        else:
            base = self.input.type.minimum - self.input.type.zero_point
            op = Rescale(*UNNAMED, requantize=TableRequantize(table[None], base, x.type.channels))
        type_ = TensorType(
            node.shape, steps.dtype, int(table.min()), int(table.max()), float(steps.step), steps.zero_point
        )
        certificate = Certificate("table", True, entries=len(table))
        decision = Decision(
            TensorValue(type_, (steps.step,)), ValueForm.TABLE, op, (x,), node.layer, (node.layer,),
            self._layer_if_whole(n), certificate,
        )  # fmt: skip
        return Expression(self.tensors.add(decision))

    def _weighted(self, n: int, node: s.ConvolveNode | s.DepthwiseNode | s.DenseNode) -> Expression:
        kernel, value = self.source.kernels[n], self.values[node.inputs[0]]
        weighted: WeightedOp
        if isinstance(node, s.DenseNode):
            weighted = Dense(*UNNAMED, weights=kernel.integers, weight_bits=kernel.bits, requantize=OPEN)
        else:
            window = node.window
            if isinstance(value.core, Rearrangement) and isinstance(value.core.node, s.PadNode) and not value.stages:
                # The convolution's own window pads with zeros.
                pad, (value,) = value.core.node, value.core.terms
                window = replace(
                    window, pad_before=_sum(window.pad_before, pad.before), pad_after=_sum(window.pad_after, pad.after)
                )
            op = Convolve if isinstance(node, s.ConvolveNode) else DepthwiseConvolve
            weighted = op(*UNNAMED, weights=kernel.integers, weight_bits=kernel.bits, requantize=OPEN, window=window)
        x = self._levels(node, value, weighted)
        low, high = weighted.accumulator_range(x.type)
        if not fits("int32", int(low.min()), int(high.max())):
            raise lowering_error(
                node.layer,
                "its sum can exceed 32 bits",
                "use fewer inputs, or weights and activations of fewer bits",
            )
        scale = tuple(x.step * Fraction(float(v)) for v in kernel.scale)
        halves = [m for m in self.source.kernels if self.source.nodes[m].layer == node.layer]
        part = ("_depthwise", "_pointwise")[halves.index(n)] if len(halves) == 2 else ""
        name, whole = node.layer + part, self._is_whole(n)
        return Expression(Accumulator(node.layer, name, whole, weighted, x, node.shape, low, high, scale))

    def _average_pool(self, n: int, node: s.AveragePoolNode) -> Expression:
        value = self.values[node.inputs[0]]
        if all(isinstance(stage, Affine) for stage in value.stages):
            x = self.tensors.stored(value.core, node.layer)  # the mean of what is scaled is the mean, scaled
        else:
            x, value = self.tensors.tensor(value, node.layer), Expression(value.core)
        op = AveragePool(*UNNAMED, window=node.window, requantize=OPEN)
        multiple = op.multiple(x.type)
        if not fits("int32", *op.accumulator_range(x.type)):
            x = self.tensors.rounded(Expression(x), 30 - multiple.bit_length(), node.layer)
        ends = op.accumulator_range(x.type)
        full = np.ones(node.shape[-1], np.int64)
        core = Accumulator(
            node.layer, node.layer, self._is_whole(n) and not value.stages, op, x,
            node.shape, full * ends[0], full * ends[1], tuple(scale / multiple for scale in x.scale),
        )  # fmt: skip
        return Expression(core, value.stages, value.sources)

    def _bias(self, n: int, node: s.BiasNode) -> Expression:
        return self._append(node, shifted(self.source.biases[n]))

    def _batch_norm(self, n: int, node: s.BatchNormNode) -> Expression:
        return self._append(node, batch_norm(node.gamma, node.beta, node.mean, node.variance, node.epsilon))

    def _affine(self, n: int, node: s.AffineNode) -> Expression:
        return self._append(node, Affine(node.factor, node.offset))

    def _clip(self, n: int, node: s.ClipNode) -> Expression:
        return self._append(node, Clip(node.low, node.high))

    def _leaky(self, n: int, node: s.LeakyNode) -> Expression:
        return self._append(node, Leaky(node.slope))

    def _function(self, n: int, node: s.FunctionNode) -> Expression:
        return self._append(node, function_stage(node.function, node.parameters))

    def _append(self, node: s.Node, stage: Stage) -> Expression:
        value = self.values[node.inputs[0]]
        return Expression(value.core, chain(*value.stages, stage), joined(value.sources, (node.layer,)))

    def _combined(self, n: int, node: s.CombineNode) -> Expression:
        kind, signs = _COMBINATIONS[type(node)]
        value, *others = (self.values[m] for m in node.inputs)
        for i, other in enumerate(others, 1):
            last = i == len(others)
            mean = Fraction(1, len(node.inputs)) if last and isinstance(node, s.AverageNode) else Fraction(1)
            whole = last and self._is_whole(n)
            value = Expression(Combination(node.layer, whole, kind, (value, other), node.shape, signs, mean))
        return value

    def _quantize(self, n: int, node: s.QuantizeNode) -> Expression:
        if n in self.levels.quantizers:
            levels = self.levels.quantizers[n]
            return self.values[node.inputs[0]] if levels is None else self._level_map(n, node, levels)
        try:
            step_function(node.quantizer)
        except ValueError as error:
            raise lowering_error(node.layer, f"{node.quantizer}: {error}", "use a larger slope, or none") from error
        value = self.values[node.inputs[0]]
        value = replace(value, sources=joined(value.sources, (node.layer,)))
        return Expression(quantized(self.tensors, value, node.quantizer, node.layer, self._layer_if_whole(n)))

    def _wrap(self, n: int, node: s.WrapNode) -> Expression:
        value = self._padded(self.values[node.inputs[0]], node.layer)
        value = replace(value, sources=joined(value.sources, (node.layer,)))
        return Expression(wrapped(self.tensors, value, node, self._layer_if_whole(n)))

    def _integers(self, n: int, node: s.IntegerNode) -> Expression:
        value = self.values[node.inputs[0]]
        return Expression(integer_levels(self.tensors, value, node, self._layer_if_whole(n)))

    def _integer_sum(self, n: int, node: s.IntegerSumNode) -> Expression:
        a, b = (self._stored(m, node.layer) for m in node.inputs)
        return Expression(integer_sum(self.tensors, a, b, node, self._layer_if_whole(n)))

    def _integer_table(self, n: int, node: s.IntegerTableNode) -> Expression:
        x = self._stored(node.inputs[0], node.layer)
        return Expression(integer_table(self.tensors, x, node, self._layer_if_whole(n)))

    def _stored(self, n: int, reader: str) -> TensorValue:
        """Node n's levels, padded where that was left open."""
        return self.tensors.stored(self._padded(self.values[n], reader).core, reader)

    def _rearrangement(self, n: int, node: RearrangingNode) -> Expression:
        terms = tuple(self._padded(self.values[m], node.layer) for m in node.inputs)
        core = Rearrangement(node, self._is_whole(n), terms)
        tensors = [term.core for term in terms if isinstance(term.core, TensorValue) and not term.stages]
        at_once = len(tensors) == len(terms) and (core.keeps_channels or all(x.uniform for x in tensors))
        if not at_once or isinstance(node, s.PadNode):
            return Expression(core)
        return Expression(self.tensors.rearranged(node, tensors, self._layer_if_whole(n)))

    def _pass(self, n: int, node: s.PassNode) -> Expression:
        self.dropped.append(DroppedLayer(node.layer, node.reason))
        return self.values[node.inputs[0]]

    def _softmax(self, n: int, node: s.SoftmaxNode) -> Expression:
        value = self.values[node.inputs[0]]
        x = self.tensors.exact(value, node.layer)
        if x is None or (x.step < STEP and x.type.maximum - x.type.minimum >= LEVELS):
            value = value if x is None else Expression(x)
            largest = max(abs(end) for end in real_bounds(value))
            x = self.tensors.fixed(value, max(STEP, power_of_two(largest / 2**BITS)), node.layer)
        table, rounding = exponentials(x.step, x.type.maximum - x.type.minimum)
        step = Fraction(1, 1 << Softmax.OUTPUT_BITS)
        type_ = TensorType(node.shape, "int16", 0, (1 << Softmax.OUTPUT_BITS) - 1, float(step))
        error = float(largest_error(rounding, type_.channels))
        certificate = Certificate(Softmax.kind, False, entries=len(table), largest_error=error)
        decision = Decision(
            TensorValue(type_, (step,)), ValueForm.SOFTMAX, Softmax(*UNNAMED, table=table), (x,), node.layer,
            (node.layer,), certificate=certificate,
        )  # fmt: skip
        return Expression(self.tensors.add(decision))

    # Values to tensors

    def _levels(self, node: s.Node, value: Expression, reader: WeightedOp) -> TensorValue:
        """A weighted layer's input: a tensor of one scale whose levels fit 16 bits; exact if the value is."""
        core, x = value.core, None
        # Sums of more bits need not be stored exactly first.
        if not isinstance(core, Accumulator) or fits("int16", int(core.low.min()), int(core.high.max())):
            x = self.tensors.exact(value, node.layer)
        if x is not None and fits("int16", *x.real_levels):
            return x
        value = value if x is None else Expression(x)
        return self.tensors.rounded(value, _input_bits(value, reader), node.layer)

    def _padded(self, value: Expression, reader: str) -> Expression:
        """The value; a tensor whose padding was left to a following convolution is padded now."""
        core = value.core
        if not isinstance(core, Rearrangement) or not isinstance(core.node, s.PadNode):
            return value
        (term,) = core.terms
        waits = isinstance(term.core, TensorValue) and not term.stages
        return replace(value, core=self.tensors.stored(core, reader)) if waits else value

    def _output(self, n: int) -> TensorValue:
        """An output tensor: levels where the model ends in a quantizer, otherwise logits in 32 bits."""
        node = self.source.nodes[n]
        # The sign of an output may decide: a sigmoid's, a label's, or that of a single number, which may be either.
        signs = node.shape[-1] == 1 or LastStep.SIGMOID in self._last_steps_of(n)
        return output_tensor(self.tensors, self.values[n], self._layer_if_whole(n), node.layer, signs=signs)

    def _last_steps_of(self, n: int) -> set[LastStep]:
        return {last for last, m in zip(self.last_steps, self.outputs, strict=True) if m == n}

    def _facts(self) -> Metadata:
        return Metadata(
            name=self.source.name,
            source=SourceFile(**self.source.file),
            converter=stq_deploy.__version__,
            classes=self.source.nodes[self.outputs[0]].shape[-1],
            layers=self.source.table,
            dropped=tuple(self.dropped),
            last_steps=tuple(self.last_steps),
            output_functions=tuple(ending.functions for ending in self.endings),
        )


def _input_bits(value: Expression, reader: WeightedOp) -> int:
    """Bits of the fixed-point numbers that `reader` sums up: 15, or as many as its sum allows, at least 12."""
    for bits in range(15, FEWEST_BITS - 1, -1):
        step = rounding_step(value, bits)
        low, high = (end / step for end in real_bounds(value))
        levels = TensorType((1,), "int16", max(math.floor(low) - 1, -(2**15)), min(math.ceil(high) + 1, 2**15 - 1), 1.0)
        least, most = reader.accumulator_range(levels)
        if fits("int32", int(least.min()), int(most.max())):
            return bits
    return 15  # its sum may exceed 32 bits


def _sum(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] + b[0], a[1] + b[1]


_DECIDE: dict[type[s.Node], Callable[[_NodeDecider, int, Any], Expression]] = {
    s.InputNode: _NodeDecider._input,
    s.BiasNode: _NodeDecider._bias,
    s.BatchNormNode: _NodeDecider._batch_norm,
    s.AffineNode: _NodeDecider._affine,
    s.ClipNode: _NodeDecider._clip,
    s.LeakyNode: _NodeDecider._leaky,
    s.FunctionNode: _NodeDecider._function,
    s.QuantizeNode: _NodeDecider._quantize,
    s.WrapNode: _NodeDecider._wrap,
    s.IntegerNode: _NodeDecider._integers,
    s.IntegerSumNode: _NodeDecider._integer_sum,
    s.IntegerTableNode: _NodeDecider._integer_table,
    s.AveragePoolNode: _NodeDecider._average_pool,
    s.PassNode: _NodeDecider._pass,
    s.SoftmaxNode: _NodeDecider._softmax,
    **dict.fromkeys((s.ConvolveNode, s.DepthwiseNode, s.DenseNode), _NodeDecider._weighted),
    **dict.fromkeys(_COMBINATIONS, _NodeDecider._combined),
    **dict.fromkeys(
        (s.MaxPoolNode, s.ReshapeNode, s.PadNode, s.CropNode, s.UpsampleNode, s.ConcatenateNode),
        _NodeDecider._rearrangement,
    ),
}
