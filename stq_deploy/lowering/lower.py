"""Lowers a `SourceGraph` to a `Network`: folds each chain of stages into the op before it and certifies the result.

A weighted layer yields an accumulator; scale, bias, batch norm and activations after it are collected as stages (an
`Expression`) until a quantizer turns the whole into levels: one op. Sums and products of few-level tensors become
tables (`fuse`). Values that are read unquantized are stored exactly or in fixed point (`materialize`). The expressions
left at the model's outputs are the logits.
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
from stq_deploy.lowering.builder import NetworkBuilder
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Accumulated,
    Combination,
    Combined,
    Expression,
    Levels,
    Moved,
    Movement,
    joined,
    leaves,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS, power_of_two
from stq_deploy.lowering.input_levels import LevelMap, find_input_levels, unknown_input
from stq_deploy.lowering.input_paths import STAGES
from stq_deploy.lowering.materialize import FEWEST_BITS, Materializer, probe, rounding_step
from stq_deploy.lowering.softmax import LEVELS, STEP, exponentials, largest_error
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Monotone, Stage, batch_norm, chain, shifted
from stq_deploy.lowering.step_function import step_function
from stq_deploy.lowering.structure import find_ending, find_last_step, find_live
from stq_deploy.network import Network
from stq_deploy.network.ops import (
    Add,
    AveragePool,
    Convolve,
    Dense,
    DepthwiseConvolve,
    Maximum,
    Minimum,
    Multiply,
    Rescale,
    Softmax,
    Table,
    WeightedOp,
)
from stq_deploy.network.output import LastStep
from stq_deploy.network.requantize import TableRequantize
from stq_deploy.network.tensor import TensorType, fits

_WEIGHTED: dict[type[s.Node], type[WeightedOp]] = {
    s.ConvolveNode: Convolve,
    s.DepthwiseNode: DepthwiseConvolve,
    s.DenseNode: Dense,
}
_COMBINATIONS: dict[type[s.Node], tuple[Combination, tuple[int, int]]] = {
    s.AddNode: (Add, (1, 1)),
    s.AverageNode: (Add, (1, 1)),
    s.SubtractNode: (Add, (1, -1)),
    s.MultiplyNode: (Multiply, (1, 1)),
    s.MaximumNode: (Maximum, (1, 1)),
    s.MinimumNode: (Minimum, (1, 1)),
}


CERTIFYING = "certifying layers"
"""The name of `lower` as a stage of `progress`."""


def lower(source: s.SourceGraph, progress: Progress = silent) -> Network:
    """The integer network of a checked model.

    Args:
        progress: called after every Keras layer; an interrupt there leaves nothing behind.

    Raises:
        UnknownInputError: no quantizer defines the input's levels.
        StqError: a combination of layers that has no integer form; the error says where and what to change.
    """
    return _Lowering(source).run(progress)


class _Lowering:
    def __init__(self, source: s.SourceGraph) -> None:
        self.source = source
        self.built = NetworkBuilder()
        self.materializer = Materializer(self.built)
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
        self.input = levels

    def run(self, progress: Progress) -> Network:
        layers = list(dict.fromkeys(self.source.nodes[n].layer for n in sorted(self.live)))
        done: dict[str, None] = {}
        progress(CERTIFYING, 0, len(layers))
        for n, node in enumerate(self.source.nodes):
            if n not in self.live:
                continue
            if n in self.input.walked and isinstance(node, STAGES):
                self.values[n] = self._lower_input_stage(node)
            else:
                self.values[n] = self._shared(n, _LOWER[type(node)](self, n, node))
            done[node.layer] = None
            progress(CERTIFYING, min(len(done), len(layers) - 1), len(layers))
        outputs = tuple(self._finish(n) for n in self.outputs)
        progress(CERTIFYING, len(layers), len(layers))
        built = self.built
        name = self.source.nodes[0].layer
        return Network(
            built.tensors, tuple(built.ops), name, outputs, self._metadata(), input_rounding=self.input.rounding
        )

    def _is_whole(self, n: int) -> bool:
        """Whether node n is the last of its Keras layer and the layer has no half before it."""
        return self.last_of_layer[self.source.nodes[n].layer] == n

    def _layer_if_whole(self, n: int) -> str:
        # Keras moves, then quantizes; here the value is quantized before it is moved.
        return self.source.nodes[n].layer if self._is_whole(n) and n not in self.input.walked else ""

    def _shared(self, n: int, value: Expression) -> Expression:
        """The value; its core is stored if several layers read it, so that a sum is computed once."""
        if self.readers[n] < 2 or leaves(Expression(value.core)) is not None:
            return value
        return replace(value, core=self.materializer.stored(value.core, self.source.nodes[n].layer))

    # Nodes to values

    def _lower_input(self, n: int, node: s.InputNode) -> Expression:
        return Expression(self.built.input(node.layer, self.input.type, self.input.step, self.input.layer))

    def _lower_input_stage(self, node: s.Node) -> Expression:
        """The functions that the host applies before it quantizes the input."""
        self.dropped.append({"layer": node.layer, "reason": "part of how the host quantizes the input"})
        return self.values[node.inputs[0]]

    def _lower_level_map(self, n: int, node: s.QuantizeNode, levels: LevelMap) -> Expression:
        """One of several quantizers that read the input: its level is a function of the input's."""
        value = self._padded(self.values[node.inputs[0]], node.layer)
        x = self.materializer.stored(value.core, node.layer)
        name, steps = self.built.unique(node.layer), levels.steps
        common: dict[str, Any] = {"name": name, "inputs": (x.tensor,), "output": name, "sources": (node.layer,)}
        table, certificate = np.array(levels.levels, np.int8), {"kind": "table", "exact": True}
        op: Table | Rescale
        if x.type.dtype == "int8":
            op = Table(**common, table=np.pad(table, (0, 256 - len(table)), mode="edge"))
        else:
            base = self.input.type.minimum - self.input.type.zero_point
            op = Rescale(**common, requantize=TableRequantize(table[None], base, x.type.channels, certificate))
        output = TensorType(
            node.shape, steps.dtype, int(table.min()), int(table.max()), float(steps.step), steps.zero_point
        )
        entries = {"entries": len(table)}
        return Expression(self.built.add(op, output, (steps.step,), self._layer_if_whole(n), certificate | entries))

    def _lower_weighted(self, n: int, node: s.ConvolveNode | s.DepthwiseNode | s.DenseNode) -> Expression:
        kernel, op = self.source.kernels[n], _WEIGHTED[type(node)]
        arguments: dict[str, Any] = {"weights": kernel.integers, "weight_bits": kernel.bits}
        value = self.values[node.inputs[0]]
        if not isinstance(node, s.DenseNode):
            window = node.window
            if isinstance(value.core, Moved) and isinstance(value.core.node, s.PadNode) and not value.stages:
                # The convolution's own window pads with zeros.
                pad, (value,) = value.core.node, value.core.terms
                window = replace(
                    window, pad_before=_sum(window.pad_before, pad.before), pad_after=_sum(window.pad_after, pad.after)
                )
            arguments["window"] = window
        weighted = probe(op, arguments)
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
        return Expression(Accumulated(node.layer, name, whole, op, arguments, x, node.shape, low, high, scale))

    def _lower_average_pool(self, n: int, node: s.AveragePoolNode) -> Expression:
        value = self.values[node.inputs[0]]
        if all(isinstance(stage, Affine) for stage in value.stages):
            x = self.materializer.stored(value.core, node.layer)  # the mean of what is scaled is the mean, scaled
        else:
            x, value = self.materializer.tensor(value, node.layer), Expression(value.core)
        op = probe(AveragePool, {"window": node.window})
        multiple = op.multiple(x.type)
        if not fits("int32", *op.accumulator_range(x.type)):
            x = self.materializer.rounded(Expression(x), 30 - multiple.bit_length(), node.layer)
        ends = op.accumulator_range(x.type)
        full = np.ones(node.shape[-1], np.int64)
        core = Accumulated(
            node.layer, node.layer, self._is_whole(n) and not value.stages, AveragePool, {"window": node.window}, x,
            node.shape, full * ends[0], full * ends[1], tuple(scale / multiple for scale in x.scale),
        )  # fmt: skip
        return Expression(core, value.stages, value.sources)

    def _lower_bias(self, n: int, node: s.BiasNode) -> Expression:
        return self._append(node, shifted(self.source.biases[n]))

    def _lower_batch_norm(self, n: int, node: s.BatchNormNode) -> Expression:
        return self._append(node, batch_norm(node.gamma, node.beta, node.mean, node.variance, node.epsilon))

    def _lower_affine(self, n: int, node: s.AffineNode) -> Expression:
        return self._append(node, Affine(node.factor, node.offset))

    def _lower_clip(self, n: int, node: s.ClipNode) -> Expression:
        return self._append(node, Clip(node.low, node.high))

    def _lower_leaky(self, n: int, node: s.LeakyNode) -> Expression:
        return self._append(node, Leaky(node.slope))

    def _lower_function(self, n: int, node: s.FunctionNode) -> Expression:
        return self._append(node, Monotone(node.function))

    def _append(self, node: s.Node, stage: Stage) -> Expression:
        value = self.values[node.inputs[0]]
        return Expression(value.core, chain(*value.stages, stage), joined(value.sources, (node.layer,)))

    def _lower_combined(self, n: int, node: s.CombineNode) -> Expression:
        kind, signs = _COMBINATIONS[type(node)]
        value, *others = (self.values[m] for m in node.inputs)
        for i, other in enumerate(others, 1):
            last = i == len(others)
            mean = Fraction(1, len(node.inputs)) if last and isinstance(node, s.AverageNode) else Fraction(1)
            whole = last and self._is_whole(n)
            value = Expression(Combined(node.layer, whole, kind, (value, other), node.shape, signs, mean))
        return value

    def _lower_quantize(self, n: int, node: s.QuantizeNode) -> Expression:
        if n in self.input.quantizers:
            levels = self.input.quantizers[n]
            return self.values[node.inputs[0]] if levels is None else self._lower_level_map(n, node, levels)
        try:
            step_function(node.quantizer)
        except ValueError as error:
            raise lowering_error(node.layer, f"{node.quantizer}: {error}", "use a larger slope, or none") from error
        value = self.values[node.inputs[0]]
        value = replace(value, sources=joined(value.sources, (node.layer,)))
        return Expression(self.materializer.requantized(value, node.quantizer, node.layer, self._layer_if_whole(n)))

    def _lower_movement(self, n: int, node: Movement) -> Expression:
        terms = tuple(self._padded(self.values[m], node.layer) for m in node.inputs)
        moved = Moved(node, self._is_whole(n), terms)
        tensors = [term.core for term in terms if isinstance(term.core, Levels) and not term.stages]
        movable = len(tensors) == len(terms) and (moved.keeps_channels or all(x.uniform for x in tensors))
        if not movable or isinstance(node, s.PadNode):
            return Expression(moved)
        return Expression(self.materializer.move(node, tensors, self._layer_if_whole(n)))

    def _lower_pass(self, n: int, node: s.PassNode) -> Expression:
        self.dropped.append({"layer": node.layer, "reason": node.reason})
        return self.values[node.inputs[0]]

    def _lower_softmax(self, n: int, node: s.SoftmaxNode) -> Expression:
        value = self.values[node.inputs[0]]
        x = self.materializer.exact(value, node.layer)
        if x is None or (x.step < STEP and x.type.maximum - x.type.minimum >= LEVELS):
            value = value if x is None else Expression(x)
            largest = max(abs(end) for end in real_bounds(value))
            x = self.materializer.fixed(value, max(STEP, power_of_two(largest / 2**BITS)), node.layer)
        table, rounding = exponentials(x.step, x.type.maximum - x.type.minimum)
        name = self.built.unique(node.layer)
        op = Softmax(name=name, inputs=(x.tensor,), output=name, sources=(node.layer,), table=table)
        step = Fraction(1, 1 << op.OUTPUT_BITS)
        output = TensorType(node.shape, "int16", 0, (1 << op.OUTPUT_BITS) - 1, float(step))
        error = float(largest_error(rounding, output.channels))
        certificate = {"kind": op.kind, "exact": False, "entries": len(table), "largest_error": error}
        return Expression(self.built.add(op, output, (step,), "", certificate))

    # Values to ops

    def _levels(self, node: s.Node, value: Expression, reader: WeightedOp) -> Levels:
        """A weighted layer's input: a tensor of one scale whose levels fit 16 bits; exact if the value is."""
        core, x = value.core, None
        # Sums of more bits need not be stored exactly first.
        if not isinstance(core, Accumulated) or fits("int16", int(core.low.min()), int(core.high.max())):
            x = self.materializer.exact(value, node.layer)
        if x is not None and fits("int16", *x.real_levels):
            return x
        value = value if x is None else Expression(x)
        return self.materializer.rounded(value, _input_bits(value, reader), node.layer)

    def _padded(self, value: Expression, reader: str) -> Expression:
        """The value; a tensor whose padding was left to a following convolution is padded now."""
        core = value.core
        if not isinstance(core, Moved) or not isinstance(core.node, s.PadNode):
            return value
        (term,) = core.terms
        waits = isinstance(term.core, Levels) and not term.stages
        return replace(value, core=self.materializer.stored(core, reader)) if waits else value

    def _finish(self, n: int) -> str:
        """An output tensor: levels where the model ends in a quantizer, otherwise logits in 32 bits."""
        node = self.source.nodes[n]
        # The sign of an output may decide: a sigmoid's, a label's, or that of a single number, which may be either.
        signs = node.shape[-1] == 1 or LastStep.SIGMOID in self._last_steps_of(n)
        return self.materializer.logits(self.values[n], self._layer_if_whole(n), node.layer, signs=signs).tensor

    def _last_steps_of(self, n: int) -> set[LastStep]:
        return {last for last, m in zip(self.last_steps, self.outputs, strict=True) if m == n}

    def _metadata(self) -> dict[str, Any]:
        return {
            "name": self.source.name,
            "source": dict(self.source.file),
            "converter": stq_deploy.__version__,
            "classes": self.source.nodes[self.outputs[0]].shape[-1],
            "layers": self.source.table,
            "dropped": self.dropped,
            "last_steps": [str(last) for last in self.last_steps],
            "output_functions": [list(ending.functions) for ending in self.endings],
            "certificates": self.built.certificates,
            "keras_outputs": self.built.keras_outputs,
        }


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


_LOWER: dict[type[s.Node], Callable[[_Lowering, int, Any], Expression]] = {
    s.InputNode: _Lowering._lower_input,
    s.BiasNode: _Lowering._lower_bias,
    s.BatchNormNode: _Lowering._lower_batch_norm,
    s.AffineNode: _Lowering._lower_affine,
    s.ClipNode: _Lowering._lower_clip,
    s.LeakyNode: _Lowering._lower_leaky,
    s.FunctionNode: _Lowering._lower_function,
    s.QuantizeNode: _Lowering._lower_quantize,
    s.AveragePoolNode: _Lowering._lower_average_pool,
    s.PassNode: _Lowering._lower_pass,
    s.SoftmaxNode: _Lowering._lower_softmax,
    **dict.fromkeys(_WEIGHTED, _Lowering._lower_weighted),
    **dict.fromkeys(_COMBINATIONS, _Lowering._lower_combined),
    **dict.fromkeys(
        (s.MaxPoolNode, s.ReshapeNode, s.PadNode, s.CropNode, s.UpsampleNode, s.ConcatenateNode),
        _Lowering._lower_movement,
    ),
}
