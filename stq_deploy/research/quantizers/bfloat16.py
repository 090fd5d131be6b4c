"""Convolutions in bfloat16, for training on processors that multiply it (avx512_bf16, AMX).

Only the products are in bfloat16. A layer's kernel is quantized in float32 and then rounded to bfloat16, like its
inputs. The sums (float32 inside oneDNN's convolution) are rounded to bfloat16 once at the end. Variables, quantizers,
batch norm, activations and the optimizer stay in float32. Ternary, binary and 4-bit kernels with power-of-two scales,
and activations of up to 8 bits, are exact in bfloat16's 8 bits. Depthwise convolutions would gain nothing, and stay in
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import qkeras
import tensorflow as tf
from tf_keras import layers

_active: ContextVar[bool] = ContextVar("stq_bfloat16", default=False)


@contextmanager
def bfloat16_convolutions(active: bool = True) -> Iterator[None]:
    """Within this block, the layers prepared by `allow_bfloat16` convolve in bfloat16.

    It is read while a function is *traced*: evaluation, traced outside, stays in float32.
    """
    before = _active.set(active)
    try:
        yield
    finally:
        _active.reset(before)


def allow_bfloat16(model: Any) -> int:
    """Prepare `model`'s convolutions for `bfloat16_convolutions`; return how many. None of this is saved."""
    count = 0
    for layer in model.layers:
        convolve = _CONVOLVE.get(type(layer))
        if convolve is not None and layer.data_format == "channels_last":
            layer.call = _Switch(layer, layer.call, convolve)
            count += 1
    return count


class _Switch:
    """A layer's own `call`, or its bfloat16 form inside the block above."""

    def __init__(self, layer: Any, plain: Callable[[Any], Any], convolve: Callable[[Any, Any], Any]) -> None:
        self._layer, self._plain, self._convolve = layer, plain, convolve

    def __call__(self, inputs: Any) -> Any:
        if not _active.get():
            return self._plain(inputs)
        layer = self._layer
        outputs = tf.cast(self._convolve(layer, inputs), tf.float32)
        if layer.use_bias:
            quantizer = getattr(layer, "bias_quantizer_internal", None)
            outputs = tf.nn.bias_add(outputs, layer.bias if quantizer is None else quantizer(layer.bias))
        return outputs if layer.activation is None else layer.activation(outputs)


def _quantized(layer: Any, name: str) -> Any:
    """The kernel `name` of `layer`, float32, as the layer quantizes it: `kernel`, `depthwise_kernel`, ..."""
    quantizer = getattr(layer, f"{name.removesuffix('_kernel')}_quantizer_internal", None)
    kernel = getattr(layer, name)
    return tf.convert_to_tensor(kernel) if quantizer is None else quantizer(kernel)


def _convolution(layer: Any, x: Any) -> Any:
    return tf.nn.convolution(
        tf.cast(x, tf.bfloat16),
        tf.cast(_quantized(layer, "kernel"), tf.bfloat16),
        strides=layer.strides,
        padding=layer.padding.upper(),
        dilations=layer.dilation_rate,
    )


def _separable(layer: Any, x: Any) -> Any:
    """Its depthwise half in float32, its 1x1 half in bfloat16."""
    strides = (1, *layer.strides, 1)
    kernel = _quantized(layer, "depthwise_kernel")
    x = tf.nn.depthwise_conv2d(x, kernel, strides, layer.padding.upper(), dilations=layer.dilation_rate)
    pointwise = tf.cast(_quantized(layer, "pointwise_kernel"), tf.bfloat16)
    return tf.nn.convolution(tf.cast(x, tf.bfloat16), pointwise, padding="VALID")


_CONVOLVE: dict[type, Callable[[Any, Any], Any]] = {
    layers.Conv2D: _convolution,
    qkeras.QConv2D: _convolution,
    layers.SeparableConv2D: _separable,
    qkeras.QSeparableConv2D: _separable,
}
