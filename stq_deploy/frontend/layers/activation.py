"""Activations: layers of their own, and the `activation` setting of others."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.activation_steps import ABOVE_ZERO
from stq_deploy.frontend.checked import ActivationFunction, CheckedLayer
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import handler_for, register
from stq_deploy.frontend.quantizers import ACTIVATION, Quantizer, make_quantizer, read_quantizer
from stq_deploy.frontend.source import (
    AddNode,
    AffineNode,
    ClipNode,
    FloatArray,
    FunctionNode,
    LeakyNode,
    MakeNode,
    MultiplyNode,
    PassNode,
    QuantizeNode,
    SoftmaxNode,
)
from stq_deploy.frontend.values import AcceptedValues, is_real


def _float32(value: float) -> Fraction:
    """The number as Keras uses it."""
    return Fraction(float(np.float32(value)))


def _line(factor: Fraction, offset: Fraction, low: int, high: int) -> tuple[MakeNode, ...]:
    """`clip(factor * x + offset, low, high)`."""
    return (
        partial(AffineNode, factor=(factor,), offset=(offset,)),
        partial(ClipNode, low=Fraction(low), high=Fraction(high)),
    )


_LARGEST = 2.0**16
_LARGEST_ELU = 64.0
_UPPER_BOUND = AcceptedValues(
    f"None, or a number from 0 to {_LARGEST:g}", lambda v: v is None or (is_real(v) and 0 <= v <= _LARGEST), None
)
_HALF = Fraction(1, 2)
_SMOOTH = Fraction(3, 16)
_KERAS: dict[str, tuple[MakeNode, ...]] = {
    "linear": (),
    "relu": (partial(ClipNode, low=Fraction(0), high=None),),
    "relu6": (partial(ClipNode, low=Fraction(0), high=Fraction(6)),),
    "leaky_relu": (partial(LeakyNode, slope=_float32(0.2)),),
    "hard_sigmoid": _line(_float32(0.2), _HALF, 0, 1),
    "sigmoid": (partial(FunctionNode, function="sigmoid"),),
    "tanh": (partial(FunctionNode, function="tanh"),),
    "softmax": (SoftmaxNode,),
    "elu": (partial(FunctionNode, function="elu", parameters=(Fraction(1),)),),
    "selu": (
        partial(FunctionNode, function="elu", parameters=(_float32(1.6732632423543772),)),
        partial(AffineNode, factor=(_float32(1.0507009873554805),), offset=(Fraction(0),)),
    ),
    **{
        name: (partial(FunctionNode, function=name),)
        for name in ("softplus", "softsign", "exponential", "swish", "gelu", "mish")
    },
    "silu": (partial(FunctionNode, function="swish"),),
}
_QKERAS: dict[str, tuple[MakeNode, ...]] = {
    "hard_sigmoid": _line(_HALF, _HALF, 0, 1),
    "smooth_sigmoid": _line(_SMOOTH, _HALF, 0, 1),
    "hard_tanh": (partial(ClipNode, low=Fraction(-1), high=Fraction(1)),),
    "smooth_tanh": _line(2 * _SMOOTH, Fraction(0), -1, 1),
    "binary_sigmoid": (*ABOVE_ZERO,),
    "binary_tanh": (*ABOVE_ZERO, partial(AffineNode, factor=(Fraction(2),), offset=(Fraction(-1),))),
}
"""Functions of qkeras.quantizers; where Keras has one of the same name, a layer of QKeras means QKeras's."""

FUNCTIONS = frozenset({*_KERAS, *_QKERAS})
"""Names of activations without a quantizer."""

REFUSED_FUNCTIONS = {
    **dict.fromkeys(("hard_swish", "hard_silu"), "swish, or relu6"),
    "log_softmax": "softmax",
    "hard_sigmoid of Keras 3": "sigmoid, or hard_tanh",
}
"""Functions that have no integer form here -> what to use instead."""


ACTIVATION_LAYERS = frozenset(
    {"Activation", "QActivation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax", "Identity"}
)
"""Layers that another layer's `activation` setting may hold: those without weights and with one input."""


_SETTLED = {"stochastic_ternary": ("ternary", ("alpha", "threshold")), "stochastic_binary": ("binary", ("alpha",))}
"""Quantizer that draws in training -> its equivalent at inference, and the parameters common to both."""


@register("Activation", "QActivation")
def import_activation(reader: LayerReader) -> None:
    """One of the activations below."""
    position, shape = reader.only_input()
    if not add_activation(reader, position, shape):
        reader.add(PassNode(reader.name, (position,), shape, "linear activation"))


@register("ReLU")
def import_relu(reader: LayerReader) -> None:
    """A clip where the slope is 0."""
    position, shape = reader.only_input()
    slope = reader.number("negative_slope", 0.0, 0, _LARGEST)
    threshold = reader.number("threshold", 0.0, 0, _LARGEST)
    largest = reader.take("max_value", _UPPER_BOUND)
    high = None if largest is None else _float32(largest)
    if threshold:
        above = _add_thresholded(reader, position, shape, threshold)
        if high is not None:
            above = reader.add(ClipNode(reader.name, (above,), shape, Fraction(0), high))
        if slope:
            below = reader.add(AffineNode(reader.name, (position,), shape, (Fraction(1),), (-_float32(threshold),)))
            below = reader.add(ClipNode(reader.name, (below,), shape, None, Fraction(0)))
            below = reader.add(AffineNode(reader.name, (below,), shape, (_float32(slope),), (Fraction(0),)))
            reader.add(AddNode(reader.name, (above, below), shape))
        return
    if slope:
        position = reader.add(LeakyNode(reader.name, (position,), shape, _float32(slope)))
    if not slope or high is not None:
        reader.add(ClipNode(reader.name, (position,), shape, None if slope else Fraction(0), high))


@register("ThresholdedReLU")
def import_thresholded_relu(reader: LayerReader) -> None:
    """The number above the threshold, and 0 elsewhere."""
    position, shape = reader.only_input()
    _add_thresholded(reader, position, shape, reader.number("theta", 1.0, 0, _LARGEST))


def _add_thresholded(reader: LayerReader, position: int, shape: tuple[int, ...], threshold: float) -> int:
    """Add `x * (x > threshold)`; returns the product's position."""
    if not threshold:
        return reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), None))
    above = reader.add(AffineNode(reader.name, (position,), shape, (Fraction(1),), (-_float32(threshold),)))
    for make in ABOVE_ZERO:
        above = reader.add(make(reader.name, (above,), shape))
    return reader.add(MultiplyNode(reader.name, (position, above), shape))


@register("ELU")
def import_elu(reader: LayerReader) -> None:
    """Its exponential below 0 is a table of fixed-point numbers, or exact before a quantizer."""
    position, shape = reader.only_input()
    alpha = reader.number("alpha", 1.0, 0, _LARGEST_ELU)
    if alpha:
        reader.add(FunctionNode(reader.name, (position,), shape, "elu", (_float32(alpha),)))
    else:
        reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), None))


@register("PReLU")
def import_prelu(reader: LayerReader) -> None:
    """One slope below 0 for each channel, or one for all: of images, `shared_axes=[1, 2]`."""
    position, shape = reader.only_input()
    axes = range(1, len(shape) + 1)
    known = AcceptedValues(
        "None, or a list of the input's axes from 1 on",
        lambda v: v is None or (isinstance(v, list | tuple) and len(v) <= len(axes) and all(n in axes for n in v)),
        None,
    )
    shared = reader.take("shared_axes", known) or ()
    stored = tuple(1 if axis in shared else size for axis, size in zip(axes, shape, strict=True))
    alpha = reader.arrays({"alpha": stored})["alpha"]
    slopes = np.broadcast_to(alpha, shape).reshape(-1, shape[-1])
    if not np.isfinite(slopes).all() or (slopes != slopes[0]).any():
        raise reader.error(
            "its slopes differ within a channel, or are not finite",
            "train it with shared_axes that names every axis but the last",
        )
    factors = tuple(Fraction(float(slope)) for slope in slopes[0])
    if len(set(factors)) == 1 and factors[0] >= 0:
        _add_leaky(reader, position, shape, factors[0])
        return
    above = reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), None))
    below = reader.add(ClipNode(reader.name, (position,), shape, None, Fraction(0)))
    bent = reader.add(AffineNode(reader.name, (below,), shape, factors, (Fraction(0),) * len(factors)))
    reader.add(AddNode(reader.name, (above, bent), shape))


def _add_leaky(reader: LayerReader, position: int, shape: tuple[int, ...], slope: Fraction) -> None:
    if slope:
        reader.add(LeakyNode(reader.name, (position,), shape, slope))
    else:
        reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), None))


@register("LeakyReLU")
def import_leaky_relu(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    _add_leaky(reader, position, shape, _float32(reader.number("alpha", 0.3, 0, _LARGEST)))


@register("Softmax")
def import_softmax(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    last = (-1, len(shape))
    axes = AcceptedValues("-1, the last axis", lambda v: v in (*last, *([n] for n in last)) and v is not True, -1)
    reader.take("axis", axes, -1)
    reader.add(SoftmaxNode(reader.name, (position,), shape))


def add_activation(reader: LayerReader, position: int, shape: tuple[int, ...]) -> bool:
    """Add the nodes that the `activation` setting asks for; False when it asks for none (linear)."""
    value = reader.activation_setting()
    if isinstance(value, dict) and value.get("class_name") in ACTIVATION_LAYERS:
        return _add_layer(reader, value, position, shape)
    name = _function_name(value)
    of_qkeras = reader.layer.kind.startswith("Q")
    functions = {**_KERAS, **_QKERAS} if of_qkeras else {**_QKERAS, **_KERAS}
    if value is None:
        reader.keep("activation", None)
        return False
    if name in functions:
        makers = functions[name]
        reader.keep("activation", ActivationFunction(name, name in _QKERAS and (of_qkeras or name not in _KERAS)))
    else:
        quantizer = _activation_quantizer(reader, value)
        reader.keep("activation", quantizer)
        if lines := _two_lines(quantizer):
            return _add_sum(reader, position, shape, lines)
        makers = _quantizing(quantizer)
    for make in makers:
        position = reader.add(make(reader.name, (position,), shape))
    return bool(makers)


_MOST_TABLED_BITS = 8


def _two_lines(quantizer: Quantizer) -> tuple[tuple[MakeNode, ...], ...]:
    """The two terms of a leaky quantized_relu of many levels: above zero and below. Empty for other quantizers.

    Each term is a linear quantizer, which may have many levels: of `v`, and of `min(slope * v, 0)`, with one step.
    """
    if quantizer.name != "quantized_relu":
        return ()
    slope, bits = quantizer.number("negative_slope"), quantizer.integer("bits")
    if not slope or bits <= _MOST_TABLED_BITS:
        return ()
    integer = quantizer.integer("integer")
    others = {key: quantizer.parameters[key] for key in ("relu_upper_bound", "is_quantized_clip")}
    above = make_quantizer("quantized_relu", bits=bits - 1, integer=integer, **others)
    levels = round(math.log2(slope)) + bits - 1  # the lowest level is -2**levels
    step_exponent = integer - (bits - 1)
    below = make_quantizer("quantized_linear", bits=levels + 1, integer=step_exponent + levels, symmetric=0, alpha=1)
    falling = (
        partial(AffineNode, factor=(Fraction(slope),), offset=(Fraction(0),)),
        partial(ClipNode, low=None, high=Fraction(0)),
        partial(QuantizeNode, quantizer=below),
    )
    return (partial(QuantizeNode, quantizer=above),), falling


def _add_sum(
    reader: LayerReader, position: int, shape: tuple[int, ...], terms: tuple[tuple[MakeNode, ...], ...]
) -> bool:
    """Add the terms, each applied to the value at `position`, and their sum."""
    ends = []
    for line in terms:
        at = position
        for make in line:
            at = reader.add(make(reader.name, (at,), shape))
        ends.append(at)
    reader.add(AddNode(reader.name, tuple(ends), shape))
    return True


def _add_layer(reader: LayerReader, entry: dict[str, Any], position: int, shape: tuple[int, ...]) -> bool:
    """Add the nodes of a layer given as an activation, such as `Dense(3, activation=ReLU(6.0))`."""

    def no_arrays(shapes: Shapes) -> dict[str, FloatArray]:
        raise reader.error("its activation has weights", "use that layer by itself, behind this one")

    kind, config = entry["class_name"], entry["config"]
    inner = LayerConfig(reader.name, kind, config, (), reader.layer.path, "", entry)
    within = LayerReader(inner, [(position, shape)], no_arrays, reader.next_position)
    handler_for(reader.name, kind)(within)
    within.finish()
    for node in within.nodes:
        reader.add(node)
    reader.quantizers |= within.quantizers
    reader.keep("activation", CheckedLayer(reader.name, kind, reader.layer.path, (), within.checked, {}, frozenset()))
    return bool(within.nodes)


def _quantizing(quantizer: Quantizer) -> tuple[MakeNode, ...]:
    """The quantizer's nodes. A quantizer that is linear under another name becomes a linear quantizer.

    QKeras's hard sigmoid and tanh are lines, so quantizing them is quantizing a scaled and shifted number. (Its
    `set_internal_sigmoid` would change these functions, but a model file does not record it.)
    """
    bits, symmetric = quantizer.parameters.get("bits"), quantizer.parameters.get("symmetric")
    before: tuple[MakeNode, ...] = ()
    if quantizer.name == "quantized_sigmoid" and not quantizer.flag("use_real_sigmoid"):
        before = (partial(AffineNode, factor=(_HALF,), offset=(_HALF,)),)
        if symmetric:
            before += (partial(ClipNode, low=Fraction(1, 2 ** quantizer.integer("bits")), high=None),)
        quantizer = make_quantizer("quantized_relu", bits=bits)
    elif quantizer.name == "quantized_tanh" and not quantizer.flag("use_real_tanh"):
        quantizer = make_quantizer("quantized_bits", bits=bits, symmetric=symmetric)
    elif quantizer.name in _SETTLED:
        name, kept = _SETTLED[quantizer.name]
        quantizer = make_quantizer(name, **{key: quantizer.parameters[key] for key in kept})
    return (*before, partial(QuantizeNode, quantizer=quantizer))


def _function_name(value: Any) -> str | None:
    """The name of a function. Keras writes its own functions as names, and others as objects."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return value if isinstance(value, str) else None


def _activation_quantizer(reader: LayerReader, value: object) -> Quantizer:
    name = _function_name(value)
    if name in REFUSED_FUNCTIONS:
        raise reader.error(f"activation={name!r} has no integer form here", f"use {REFUSED_FUNCTIONS[name]}")
    try:
        quantizer = read_quantizer(value, ACTIVATION)
    except StqError as error:
        plain = (
            f", or without quantizing: {', '.join(sorted(FUNCTIONS))}" if name is not None and "(" not in name else ""
        )
        raise unsupported(
            reader.name, reader.layer.kind, f"activation: {error.what}", error.next + plain, error.cause
        ) from error
    if isinstance(quantizer.parameters.get("alpha"), str):
        raise reader.error(
            f"activation: {quantizer} takes its scale from each batch of activations",
            "give the activation's quantizer a fixed scale: alpha=1",
        )
    reader.quantizers["activation"] = str(quantizer)
    return quantizer
