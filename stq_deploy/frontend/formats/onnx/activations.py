"""Activations: lines, bends, and functions that become certified tables, as of a Keras model."""

from __future__ import annotations

from fractions import Fraction

from stq_deploy.frontend.activation_steps import ABOVE_ZERO
from stq_deploy.frontend.formats.onnx.elementwise import by_channel, clipped
from stq_deploy.frontend.formats.onnx.operators import register
from stq_deploy.frontend.formats.onnx.reader import NodeReader
from stq_deploy.frontend.formats.onnx.values import OnnxValue, Tensor
from stq_deploy.frontend.source import (
    AddNode,
    AffineNode,
    ClipNode,
    FunctionNode,
    LeakyNode,
    MultiplyNode,
    PassNode,
    QuantizeNode,
)

_ZERO, _ONE, _HALF = Fraction(0), Fraction(1), Fraction(1, 2)
_LARGEST = 2**16
_LARGEST_ELU = 64
_OF_NAME = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish",
    "Exp": "exponential",
}  # fmt: skip


def _function(reader: NodeReader, tensor: Tensor, name: str, parameters: tuple[Fraction, ...] = ()) -> Tensor:
    node = FunctionNode(reader.name, (tensor.position,), reader.node_shape(tensor), name, parameters)
    return reader.elementwise(tensor, node)


def _line(reader: NodeReader, tensor: Tensor, factor: Fraction, offset: Fraction = _ZERO) -> Tensor:
    if factor == 1 and not offset:
        return tensor
    node = AffineNode(reader.name, (tensor.position,), reader.node_shape(tensor), (factor,), (offset,))
    return reader.elementwise(tensor, node)


def _product(reader: NodeReader, a: Tensor, b: Tensor) -> Tensor:
    return reader.elementwise(a, MultiplyNode(reader.name, (a.position, b.position), reader.node_shape(a)))


@register("Sigmoid", "Tanh", "Softplus", "Softsign", "Mish", "Exp", becomes=(FunctionNode,))
def read_function(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """At the end, before a quantizer, or of one int8 tensor, as in a Keras model."""
    return (_function(reader, reader.tensor(), _OF_NAME[reader.node.op]),)


@register("Gelu", becomes=(FunctionNode,))
def read_gelu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """The exact one: approximate="none"."""
    reader.fixed("approximate", "none", "export it with approximate='none'", "none")
    return (_function(reader, reader.tensor(), "gelu"),)


@register("Elu", becomes=(FunctionNode, ClipNode))
def read_elu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """An alpha from 0 to 64."""
    tensor, alpha = reader.tensor(), _within(reader, "alpha", 1.0, _ZERO)
    return (_function(reader, tensor, "elu", (alpha,)) if alpha else clipped(reader, tensor, _ZERO, None),)


@register("Selu", becomes=(FunctionNode, AffineNode))
def read_selu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """An alpha and a gamma above 0, up to 64."""
    least = Fraction(1, _LARGEST)
    alpha = _within(reader, "alpha", 1.6732632423543772848, least)
    gamma = _within(reader, "gamma", 1.0507009873554804934, least)
    return (_line(reader, _function(reader, reader.tensor(), "elu", (alpha,)), gamma),)


@register("Celu", becomes=(AffineNode, FunctionNode))
def read_celu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """An alpha above 0, up to 64: `alpha * elu(x / alpha)`."""
    alpha = _within(reader, "alpha", 1.0, Fraction(1, _LARGEST))
    narrow = _line(reader, reader.tensor(), 1 / alpha)
    return (_line(reader, _function(reader, narrow, "elu", (_ONE,)), alpha),)


@register("Swish", becomes=(AffineNode, FunctionNode))
def read_swish(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """An alpha above 0, up to 64: `swish(alpha * x) / alpha`."""
    alpha = _within(reader, "alpha", 1.0, Fraction(1, _LARGEST))
    wide = _line(reader, reader.tensor(), alpha)
    return (_line(reader, _function(reader, wide, "swish"), 1 / alpha),)


def _within(reader: NodeReader, name: str, default: float, least: Fraction) -> Fraction:
    """An attribute from `least` to 64."""
    value = reader.number(name, default)
    if not least <= value <= _LARGEST_ELU:
        raise reader.error(f"{name}={float(value):g} is not supported", f"use {default:g}")
    return value


@register("HardSigmoid", becomes=(AffineNode, ClipNode))
def read_hard_sigmoid(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Any alpha and beta."""
    alpha, beta = reader.number("alpha", 0.2), reader.number("beta", 0.5)
    tensor = reader.tensor()
    node = AffineNode(reader.name, (tensor.position,), reader.node_shape(tensor), (alpha,), (beta,))
    return (clipped(reader, reader.elementwise(tensor, node), _ZERO, _ONE),)


@register("HardSwish", becomes=(AffineNode, ClipNode, MultiplyNode))
def read_hard_swish(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """`x * min(max(x / 6 + 1 / 2, 0), 1)`."""
    tensor = reader.tensor()
    gate = clipped(reader, _line(reader, tensor, Fraction(1, 6), _HALF), _ZERO, _ONE)
    return (_product(reader, tensor, gate),)


@register("ThresholdedRelu", becomes=(AffineNode, QuantizeNode, MultiplyNode, ClipNode))
def read_thresholded_relu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """The number above alpha, from 0 to 65536, and 0 elsewhere."""
    tensor, alpha = reader.tensor(), reader.number("alpha", 1.0)
    if not 0 <= alpha <= _LARGEST:
        raise reader.error(f"alpha={float(alpha):g} is not supported", f"use an alpha from 0 to {_LARGEST}")
    if not alpha:
        return (clipped(reader, tensor, _ZERO, None),)
    above = _line(reader, tensor, _ONE, -alpha)
    for make in ABOVE_ZERO:
        above = reader.elementwise(above, make(reader.name, (above.position,), reader.node_shape(above)))
    return (_product(reader, tensor, above),)


@register("LeakyRelu", "PRelu", becomes=(LeakyNode, ClipNode, AffineNode, AddNode, PassNode))
def read_leaky_relu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Slopes of magnitudes up to 65536: one for the whole tensor, or of PRelu one a channel."""
    tensor = reader.tensor()
    if reader.node.op == "LeakyRelu":
        slopes: tuple[Fraction, ...] = (reader.number("alpha", 0.01),)
    else:
        tensor, per_channel = by_channel(reader, tensor, reader.reals(1))
        slopes = tuple(map(Fraction, per_channel.tolist()))
    largest = max(map(abs, slopes))
    if largest > _LARGEST:
        raise reader.error(f"a slope is {float(largest):g}", "use slopes from 0 to 1")
    if len(set(slopes)) > 1 or slopes[0] < 0:
        return (_bent(reader, tensor, slopes),)
    if slopes[0] == 0:
        return (clipped(reader, tensor, _ZERO, None),)
    node = LeakyNode(reader.name, (tensor.position,), reader.node_shape(tensor), slopes[0])
    return (reader.elementwise(tensor, node),)


def _bent(reader: NodeReader, tensor: Tensor, slopes: tuple[Fraction, ...]) -> Tensor:
    """`max(x, 0) + slope * min(x, 0)`."""
    shape = reader.node_shape(tensor)
    above, below = clipped(reader, tensor, _ZERO, None), clipped(reader, tensor, None, _ZERO)
    node = AffineNode(reader.name, (below.position,), shape, slopes, (_ZERO,) * len(slopes))
    bent = reader.elementwise(below, node)
    return reader.elementwise(above, AddNode(reader.name, (above.position, bent.position), shape))
