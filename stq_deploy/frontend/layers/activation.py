"""Activation, QActivation, ReLU, and the `activation` setting of weighted layers."""

from __future__ import annotations

from fractions import Fraction

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.quantizers import ACTIVATION_QUANTIZERS, Quantizer, read_quantizer
from stq_deploy.frontend.source import ClipNode, FunctionNode, PassNode, QuantizeNode, SoftmaxNode

_FUNCTIONS = ("sigmoid", "tanh")
_PLAIN = ("linear", "softmax", "relu", *_FUNCTIONS)


@register("Activation", "QActivation")
def import_activation(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    if not add_activation(reader, position, shape):
        reader.add(PassNode(reader.name, (position,), shape, "linear activation"))


@register("ReLU")
def import_relu(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    reader.fixed("max_value", None)
    reader.fixed("negative_slope", 0.0)
    reader.fixed("threshold", 0.0)
    _add_relu(reader, position, shape)


def add_activation(reader: LayerReader, position: int, shape: tuple[int, ...]) -> bool:
    """Add the node that the `activation` setting asks for; False when it asks for none (linear)."""
    value = reader.raw("activation")
    if value is None or value == "linear":
        return False
    if value == "softmax":
        reader.add(SoftmaxNode(reader.name, (position,), shape))
    elif value == "relu":
        _add_relu(reader, position, shape)
    elif value in _FUNCTIONS:
        reader.add(FunctionNode(reader.name, (position,), shape, value))
    else:
        reader.add(QuantizeNode(reader.name, (position,), shape, _activation_quantizer(reader, value)))
    return True


def _add_relu(reader: LayerReader, position: int, shape: tuple[int, ...]) -> None:
    reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), None))


def _activation_quantizer(reader: LayerReader, value: object) -> Quantizer:
    try:
        quantizer = read_quantizer(value, ACTIVATION_QUANTIZERS)
    except StqError as error:
        raise unsupported(
            reader.name, reader.layer.kind, f"activation: {error.what}",
            error.next + f" (without quantizing: {', '.join(_PLAIN)})", error.cause,
        ) from error  # fmt: skip
    if isinstance(quantizer.parameters.get("alpha"), str):
        raise reader.error(
            f"activation: {quantizer} takes its scale from each batch of activations",
            "give the activation's quantizer a fixed scale: alpha=1",
        )
    reader.quantizers["activation"] = str(quantizer)
    return quantizer
