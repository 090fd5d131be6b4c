"""Lowers a `SourceGraph` to a `Network`: folds each chain of stages into the op before it and certifies the result.

A weighted layer yields an accumulator; scale, bias, batch norm and activations after it are collected as stages (an
`Expression`) until a quantizer turns the whole into levels: one op. Sums and products of few-level tensors become
tables (`fuse`). What is left at the model's output are the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

import stq_deploy
from stq_deploy.errors import StqError
from stq_deploy.frontend import source as s
from stq_deploy.frontend.errors import shown
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import (
    Add,
    Convolve,
    Dense,
    DepthwiseConvolve,
    MaxPool,
    Multiply,
    Op,
    Reshape,
    WeightedOp,
)
from stq_deploy.network.requantize import KeepAccumulator, Requantize
from stq_deploy.network.tensor import STORAGE_RANGE
from stq_deploy.passes.builder import NetworkBuilder
from stq_deploy.passes.certify import certify
from stq_deploy.passes.epilogue import Epilogue
from stq_deploy.passes.expression import (
    Accumulated,
    Combined,
    Core,
    Expression,
    Levels,
    Value,
    combine,
    joined,
    layers_of,
    leaves,
)
from stq_deploy.passes.fuse import fuse
from stq_deploy.passes.logits import certify_logits
from stq_deploy.passes.stages import Affine, Clip, Leaky, Monotone, Stage, batch_norm, chain, scaled, shifted
from stq_deploy.passes.step_function import StepFunction, step_function
from stq_deploy.passes.structure import find_input_quantizer, find_live, find_logits

Integers = npt.NDArray[np.int64]

_SAMPLE_SCALE = Fraction(1, 255)  # an input that no quantizer reads is taken as uint8 samples / 255
_WEIGHTED: dict[type[s.Node], type[WeightedOp]] = {
    s.ConvolveNode: Convolve,
    s.DepthwiseNode: DepthwiseConvolve,
    s.DenseNode: Dense,
}
_NO_REQUANTIZE = KeepAccumulator(0, 0, 0)  # stands in where an op is asked for its accumulator's range only


def lower(source: s.SourceGraph) -> Network:
    """The integer network of a checked model.

    Raises:
        StqError: a combination of layers that has no exact integer form; it says where and what to change.
    """
    if len(source.outputs) > 1:
        raise StqError(
            f"the model has {len(source.outputs)} outputs, only one is supported",
            next="build a model with a single output from the same layers",
        )
    return _Lowering(source).run()


class _Lowering:
    def __init__(self, source: s.SourceGraph) -> None:
        self.source = source
        self.built = NetworkBuilder()
        self.values: dict[int, Value] = {}
        self.kept: dict[int, Levels] = {}
        self.last_of_layer = {node.layer: n for n, node in enumerate(source.nodes)}
        self.logits, self.dropped = find_logits(source)
        self.live = find_live(source, self.logits)
        self.input_quantizer = find_input_quantizer(source, self.live)

    def run(self) -> Network:
        for n, node in enumerate(self.source.nodes):
            if n in self.live:
                self.values[n] = _LOWER[type(node)](self, n, node)
        output = self._finish(self.logits)
        built = self.built
        return Network(built.tensors, tuple(built.ops), self.source.nodes[0].layer, (output,), self._metadata())

    def _is_whole(self, n: int) -> bool:
        """Whether node n is the last of its Keras layer and the layer has no half before it."""
        return self.last_of_layer[self.source.nodes[n].layer] == n

    def _layer_if_whole(self, n: int) -> str:
        return self.source.nodes[n].layer if self._is_whole(n) else ""

    # Nodes to values

    def _lower_input(self, n: int, node: s.InputNode) -> Value:
        if self.input_quantizer is None:
            return self.built.input(node.layer, node.shape, (0, 255), _SAMPLE_SCALE)
        quantizer = self.source.nodes[self.input_quantizer]
        assert isinstance(quantizer, s.QuantizeNode)
        steps = step_function(quantizer.quantizer)
        return self.built.input(node.layer, node.shape, (steps.minimum, steps.maximum), steps.step)

    def _lower_weighted(self, n: int, node: s.ConvolveNode | s.DepthwiseNode | s.DenseNode) -> Value:
        kernel, x, op = self.source.kernels[n], self._levels(node), _WEIGHTED[type(node)]
        arguments: dict[str, Any] = {"weights": kernel.integers, "weight_bits": kernel.bits}
        if not isinstance(node, s.DenseNode):
            arguments["window"] = node.window
        low, high = _probe(op, arguments).accumulator_range(x.type)
        if not _fits("int32", int(low.min()), int(high.max())):
            raise _error(
                node.layer,
                "its sum can exceed 32 bits",
                "use fewer inputs, or weights and activations of fewer bits",
            )
        scale = tuple(x.scale * Fraction(float(v)) for v in kernel.scale)
        halves = [m for m in self.source.kernels if self.source.nodes[m].layer == node.layer]
        part = ("_depthwise", "_pointwise")[halves.index(n)] if len(halves) == 2 else ""
        return Expression(
            Accumulated(
                node.layer,
                node.layer + part,
                self._is_whole(n),
                op,
                arguments,
                x,
                node.shape,
                low,
                high,
                scale,
            )
        )

    def _lower_bias(self, n: int, node: s.BiasNode) -> Value:
        return self._append(node, shifted(self.source.biases[n]))

    def _lower_batch_norm(self, n: int, node: s.BatchNormNode) -> Value:
        return self._append(node, batch_norm(node.gamma, node.beta, node.mean, node.variance, node.epsilon))

    def _lower_function(self, n: int, node: s.FunctionNode) -> Value:
        return self._append(node, Monotone(node.function))

    def _lower_affine(self, n: int, node: s.AffineNode) -> Value:
        return self._append(node, Affine(node.factor, node.offset))

    def _lower_clip(self, n: int, node: s.ClipNode) -> Value:
        return self._append(node, Clip(node.low, node.high))

    def _lower_leaky(self, n: int, node: s.LeakyNode) -> Value:
        return self._append(node, Leaky(node.slope))

    def _append(self, node: s.Node, stage: Stage) -> Expression:
        value = self._expression(node)
        return Expression(value.core, chain(*value.stages, stage), joined(value.sources, (node.layer,)))

    def _lower_combined(self, n: int, node: s.AddNode | s.MultiplyNode) -> Value:
        kind: type[Add] | type[Multiply] = Add if isinstance(node, s.AddNode) else Multiply
        core = self._term(node, 0)
        for which in range(1, len(node.inputs)):
            whole = which == len(node.inputs) - 1
            core = Combined(node.layer, whole, kind, (core, self._term(node, which)))
        return Expression(core)

    def _term(self, node: s.Node, which: int) -> Core:
        """A branch of an Add or Multiply."""
        value = self._expression(node, which)
        if value.stages:
            raise _unquantized(node.layer, self._layer_read(node, which))
        return self._keep(value.core, node.layer) if isinstance(value.core, Accumulated) else value.core

    def _lower_quantize(self, n: int, node: s.QuantizeNode) -> Value:
        if n == self.input_quantizer:
            return self.values[0]
        value = self._expression(node)
        try:
            step_function(node.quantizer)
        except ValueError as error:
            raise _error(node.layer, f"{node.quantizer}: {error}", "use a larger slope, or none") from error
        value = replace(value, sources=joined(value.sources, (node.layer,)))
        return self._requantized(n, node, value, Epilogue(value.stages, node.quantizer))

    def _lower_max_pool(self, n: int, node: s.MaxPoolNode) -> Value:
        x = self._levels(node)
        if x.type.dtype != "int8":
            raise _unquantized(node.layer, self._layer_read(node))
        name = self.built.unique(node.layer)
        op = MaxPool(name=name, inputs=(x.tensor,), output=name, sources=(node.layer,), window=node.window)
        return self._same_levels(n, op, x)

    def _lower_reshape(self, n: int, node: s.ReshapeNode) -> Value:
        x = self._levels(node)
        name = self.built.unique(node.layer)
        return self._same_levels(n, Reshape(name=name, inputs=(x.tensor,), output=name, sources=(node.layer,)), x)

    def _same_levels(self, n: int, op: Op, x: Levels) -> Levels:
        output = replace(x.type, shape=self.source.nodes[n].shape)
        return self.built.add(op, output, x.scale, self._layer_if_whole(n))

    def _lower_pass(self, n: int, node: s.PassNode) -> Value:
        self.dropped.append({"layer": node.layer, "reason": node.reason})
        return self.values[node.inputs[0]]

    def _lower_softmax(self, n: int, node: s.SoftmaxNode) -> Value:
        raise _error(node.layer, "softmax is supported at the end of the model only", "use quantized_sigmoid here")

    # Values to ops

    def _expression(self, node: s.Node, which: int = 0) -> Expression:
        value = self.values[node.inputs[which]]
        return Expression(value) if isinstance(value, Levels) else value

    def _layer_read(self, node: s.Node, which: int = 0) -> str:
        return self.source.nodes[node.inputs[which]].layer

    def _levels(self, node: s.Node) -> Levels:
        """The input as a tensor; a bare accumulator or combination is written as it is."""
        value = self._expression(node)
        if value.stages:
            raise _unquantized(node.layer, self._layer_read(node))
        return self._keep(value.core, node.layer)

    def _keep(self, core: Core, reader: str) -> Levels:
        """A tensor of the core's exact integers, in 8 or 16 bits; made once, however many layers read it.

        Args:
            reader: the layer that needs it, for errors.
        """
        if isinstance(core, Levels):
            return core
        if id(core) in self.kept:
            return self.kept[id(core)]
        if isinstance(core, Accumulated):
            low, high, scale = core.low, core.high, core.scale[0]
            if len(set(core.scale)) > 1:
                raise _unquantized(reader, core.layer, "its scale differs from channel to channel")
        else:
            low, high, scale = self._combined_range(core, reader)
        smallest, largest = int(low.min()), int(high.max())
        dtype = next((dtype for dtype in ("int8", "int16") if _fits(dtype, smallest, largest)), None)
        if dtype is None:
            raise _unquantized(reader, core.layer, f"its values {smallest}..{largest} do not fit 16 bits")
        keep = KeepAccumulator(len(low), smallest, largest, {"kind": "keep", "exact": True, "channels": len(low)})
        op, shape = self._op(core, keep, (), reader)
        layer = core.layer if core.whole else ""
        op = replace(op, sources=(layer,) if layer else ())
        output = TensorType(shape, dtype, smallest, largest, float(scale))
        self.kept[id(core)] = self.built.add(op, output, scale, layer, keep.certificate)
        return self.kept[id(core)]

    def _combined_range(self, core: Combined, reader: str) -> tuple[Integers, Integers, Fraction]:
        """Reachable accumulators (low, high) per channel of an Add or Multiply, and its scale."""
        a, b = (self._keep(term, reader) for term in core.terms)
        scale, arguments = combine(core.kind, a, b)
        low, high = _probe(core.kind, arguments).accumulator_range([a.type, b.type])
        if not _fits("int32", low, high):
            raise _error(core.layer, "its accumulator can exceed 32 bits", "quantize both branches to similar scales")
        full = np.ones(a.type.channels, np.int64)
        return full * low, full * high, scale

    def _op(
        self,
        core: Accumulated | Combined,
        requantize: Requantize,
        stages_of: tuple[str, ...],
        reader: str,
    ) -> tuple[Op, tuple[int, ...]]:
        """The op that computes `core` and requantises it, and its output's shape."""
        sources = joined((core.layer,), stages_of)
        if isinstance(core, Accumulated):
            name = self.built.unique(core.name)
            op: Op = core.op(
                name=name, inputs=(core.source.tensor,), output=name, sources=sources, requantize=requantize,
                **core.arguments,
            )  # fmt: skip
            return op, core.shape
        a, b = (self._keep(term, reader) for term in core.terms)
        name = self.built.unique(core.layer)
        arguments = combine(core.kind, a, b)[1]
        op = core.kind(
            name=name,
            inputs=(a.tensor, b.tensor),
            output=name,
            sources=sources,
            requantize=requantize,
            **arguments,
        )
        return op, a.type.shape

    def _requantized(self, n: int, node: s.QuantizeNode, value: Expression, epilogue: Epilogue) -> Levels:
        """One op that computes `value` and quantizes it."""
        core, steps, layer = value.core, epilogue.steps, self._layer_if_whole(n)
        tensors = leaves(core)
        if tensors is not None:
            name = self.built.unique(node.layer if isinstance(core, Levels) else core.layer)
            fused = fuse(core, tensors, epilogue, name, joined(layers_of(core), value.sources))
            if fused is not None:
                table, reached = fused
                certificate = {"kind": table.kind, "exact": True, "entries": int(table.table.size)}
                return self.built.add(table, _stored(node.shape, steps, reached), steps.step, layer, certificate)
        if isinstance(core, Levels):
            raise _error(
                node.layer, "channels of a tensor that is quantized already are scaled one by one",
                "put BatchNormalization directly after the convolution or dense layer, before its activation",
            )  # fmt: skip
        low, high, scale = self._accumulators(core, node.layer)
        requantize = certify(Epilogue(chain(scaled(scale), *epilogue.stages), epilogue.quantizer), low, high)
        op, shape = self._op(core, requantize, value.sources, node.layer)
        output = _stored(shape, steps, (requantize.minimum, requantize.maximum))
        return self.built.add(op, output, steps.step, layer, requantize.certificate)

    def _accumulators(
        self, core: Accumulated | Combined, reader: str
    ) -> tuple[Integers, Integers, tuple[Fraction, ...]]:
        """Reachable accumulators (low, high) per channel, and the scale, one entry or one per channel."""
        if isinstance(core, Accumulated):
            return core.low, core.high, core.scale
        low, high, scale = self._combined_range(core, reader)
        return low, high, (scale,)

    def _finish(self, n: int) -> str:
        """The output tensor: levels where the model ends in a quantizer, otherwise logits in 32 bits."""
        node, value = self.source.nodes[n], self.values[n]
        if len(node.shape) != 1:
            raise _error(node.layer, f"the model's output has shape {node.shape}", "end with one number per class")
        if isinstance(value, Levels):
            return value.tensor
        if isinstance(value.core, Levels) or not all(isinstance(stage, Affine) for stage in value.stages):
            raise _error(
                node.layer, "the model's output is neither quantized nor a sum, scaled and shifted at most",
                "end with QDense, BatchNormalization if you like, and softmax",
            )  # fmt: skip
        low, high, scale = self._accumulators(value.core, node.layer)
        (affine,) = chain(scaled(scale), *value.stages)
        assert isinstance(affine, Affine)
        requantize, step = self._logits_form(node, affine, low, high)
        op, shape = self._op(value.core, requantize, value.sources, node.layer)
        output = TensorType(shape, "int32", requantize.minimum, requantize.maximum, float(step))
        return self.built.add(op, output, step, self._layer_if_whole(n), requantize.certificate).tensor

    def _logits_form(self, node: s.Node, affine: Affine, low: Integers, high: Integers) -> tuple[Requantize, Fraction]:
        """Requantisation and real value of one step: the accumulators themselves if they share a scale."""
        if affine.uniform and affine.offset[0] == 0 and affine.factor[0] > 0:
            certificate = {"kind": "keep", "exact": True, "channels": len(low)}
            return KeepAccumulator(len(low), int(low.min()), int(high.max()), certificate), affine.factor[0]
        try:
            return certify_logits(affine, low, high)
        except ValueError as error:
            raise _error(node.layer, str(error), "check the batch normalisation's statistics") from error

    # Facts and errors

    def _metadata(self) -> dict[str, Any]:
        return {
            "name": self.source.name,
            "source": dict(self.source.file),
            "converter": stq_deploy.__version__,
            "classes": self.source.nodes[self.logits].shape[-1],
            "layers": self.source.table,
            "dropped": self.dropped,
            "certificates": self.built.certificates,
            "keras_outputs": self.built.keras_outputs,
        }


def _probe(op: type[Any], arguments: dict[str, Any]) -> Any:
    """An op made only to ask for its accumulator's range."""
    return op(name="", inputs=(), output="", sources=(), **{"requantize": _NO_REQUANTIZE, **arguments})


def _fits(dtype: str, low: int, high: int) -> bool:
    return STORAGE_RANGE[dtype][0] <= low and high <= STORAGE_RANGE[dtype][1]


def _stored(shape: tuple[int, ...], steps: StepFunction, levels: tuple[int, int]) -> TensorType:
    return TensorType(shape, "int8", levels[0], levels[1], float(steps.step), steps.zero_point)


def _unquantized(reader: str, producer: str, why: str = "it is not quantized") -> StqError:
    return _error(
        reader,
        f"it reads the output of layer {shown(producer)} as it is, and {why}",
        f"put a QActivation after {shown(producer)}: quantized_relu(8,3), or quantized_bits(8,3,1,alpha=1)",
    )


def _error(layer: str, what: str, next: str) -> StqError:
    return StqError(what, where=f"layer {shown(layer)}", next=next)


_LOWER: dict[type[s.Node], Callable[[_Lowering, int, Any], Value]] = {
    s.InputNode: _Lowering._lower_input,
    s.ConvolveNode: _Lowering._lower_weighted,
    s.DepthwiseNode: _Lowering._lower_weighted,
    s.DenseNode: _Lowering._lower_weighted,
    s.BiasNode: _Lowering._lower_bias,
    s.BatchNormNode: _Lowering._lower_batch_norm,
    s.AffineNode: _Lowering._lower_affine,
    s.ClipNode: _Lowering._lower_clip,
    s.LeakyNode: _Lowering._lower_leaky,
    s.FunctionNode: _Lowering._lower_function,
    s.QuantizeNode: _Lowering._lower_quantize,
    s.AddNode: _Lowering._lower_combined,
    s.MultiplyNode: _Lowering._lower_combined,
    s.MaxPoolNode: _Lowering._lower_max_pool,
    s.ReshapeNode: _Lowering._lower_reshape,
    s.PassNode: _Lowering._lower_pass,
    s.SoftmaxNode: _Lowering._lower_softmax,
}
