"""Convolutions, with or without QKeras's quantizers: Conv, DepthwiseConv and SeparableConv, 1-D and 2-D."""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layers.activation import add_activation
from stq_deploy.frontend.layers.normalization import fold, normalization_epsilon, normalization_names
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.quantizers import CONSTANT
from stq_deploy.frontend.source import BatchNormFold, BiasNode, ConvolveNode, DepthwiseNode, FloatArray, FloatBias
from stq_deploy.frontend.values import one_of
from stq_deploy.network.ops import Window

_EXAMPLE = "ternary(alpha='auto_po2')"


@register("QConv1D", "QConv2D", "QConv2DBatchnorm", "Conv1D", "Conv2D")
def import_convolution(reader: LayerReader) -> None:
    """A Batchnorm layer's batch normalization is folded into the weights before they are quantized, as in QKeras."""
    position, (height, width, channels) = reader.image_input()
    filters, groups = reader.integer("filters"), reader.integer("groups", 1)
    if channels % groups or filters % groups:
        raise reader.error(
            f"groups={groups} does not divide its {channels} input channels and {filters} filters",
            "use groups=1, or a number that divides both",
        )
    window = _window(reader, height, width, causal=reader.in_rows)
    quantizer = reader.kernel_quantizer("kernel_quantizer", _EXAMPLE)
    kernel = (*window.size, channels // groups, filters)
    arrays, folded = _arrays(reader, "kernel", kernel, filters)
    shape = (*window.output_size(height, width), filters)
    at = reader.add(ConvolveNode(reader.name, (position,), shape, window))
    reader.add_kernel(at, arrays["kernel"], quantizer, kernel, folded)
    reader.macs += shape[0] * shape[1] * arrays["kernel"].size
    finish_weighted(reader, arrays.get("bias"), folded)


@register("QDepthwiseConv2D", "QDepthwiseConv2DBatchnorm", "DepthwiseConv1D", "DepthwiseConv2D")
def import_depthwise_convolution(reader: LayerReader) -> None:
    """A Batchnorm layer's batch normalization is folded into the weights before they are quantized, as in QKeras."""
    position, (height, width, channels) = reader.image_input()
    multiplier = reader.integer("depth_multiplier", 1)
    reader.fixed("groups", 1)
    window = _window(reader, height, width, causal=False)
    quantizer = reader.kernel_quantizer("depthwise_quantizer", _EXAMPLE)
    kernel, outputs = (*window.size, channels, multiplier), channels * multiplier
    arrays, folded = _arrays(reader, "depthwise_kernel", kernel, outputs)
    shape = (*window.output_size(height, width), outputs)
    at = reader.add(DepthwiseNode(reader.name, (position,), shape, window))
    reader.add_kernel(at, arrays["depthwise_kernel"], quantizer, kernel, folded)
    reader.macs += shape[0] * shape[1] * arrays["depthwise_kernel"].size
    finish_weighted(reader, arrays.get("bias"), folded)


@register("QSeparableConv1D", "QSeparableConv2D", "SeparableConv1D", "SeparableConv2D")
def import_separable_convolution(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    filters, multiplier = reader.integer("filters"), reader.integer("depth_multiplier", 1)
    reader.fixed("groups", 1)
    window = _window(reader, height, width, causal=reader.in_rows)
    depthwise = reader.kernel_quantizer("depthwise_quantizer", _EXAMPLE)
    pointwise = reader.kernel_quantizer("pointwise_quantizer", _EXAMPLE)
    middle = channels * multiplier
    kernels = {"depthwise_kernel": (*window.size, channels, multiplier), "pointwise_kernel": (1, 1, middle, filters)}
    stored = {name: _as_stored(reader, kernel) for name, kernel in kernels.items()}
    arrays = reader.arrays({**stored, **bias_shape(reader, filters)})
    size = window.output_size(height, width)
    first = reader.add(DepthwiseNode(reader.name, (position,), (*size, middle), window))
    reader.add_kernel(first, arrays["depthwise_kernel"], depthwise, kernels["depthwise_kernel"])
    second = reader.add(ConvolveNode(reader.name, (first,), (*size, filters), Window((1, 1))))
    reader.add_kernel(second, arrays["pointwise_kernel"], pointwise, kernels["pointwise_kernel"])
    reader.macs += size[0] * size[1] * (arrays["depthwise_kernel"].size + arrays["pointwise_kernel"].size)
    finish_weighted(reader, arrays.get("bias"))


def _window(reader: LayerReader, height: int, width: int, causal: bool) -> Window:
    reader.fixed("data_format", "channels_last", None)
    size = reader.pair("kernel_size")
    stride = reader.pair("strides", (1, 1))
    dilation = reader.pair("dilation_rate", (1, 1))
    if stride != (1, 1) and dilation != (1, 1):
        raise reader.error(
            f"strides={stride} together with dilation_rate={dilation} is not supported",
            "use one of the two; TensorFlow has no such convolution either",
        )
    padding = reader.choice("padding", "same", "valid", *["causal"] * causal)
    before, after = (0, 0), (0, 0)
    if padding == "same":
        before, after = Window.same_padding((height, width), size, stride, dilation)
    elif padding == "causal":
        before = (0, dilation[1] * (size[1] - 1))
    return Window(size, stride, dilation, before, after)


def _as_stored(reader: LayerReader, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which Keras stores a kernel; a 1-D layer's has no row axis."""
    return kernel[1:] if reader.in_rows else kernel


def _arrays(
    reader: LayerReader, name: str, kernel: tuple[int, ...], outputs: int
) -> tuple[dict[str, FloatArray], BatchNormFold | None]:
    """The arrays of a convolution by name; for a Batchnorm layer also the numbers that it folds into them."""
    shapes: Shapes = {name: _as_stored(reader, kernel), **bias_shape(reader, outputs)}
    if not reader.layer.kind.endswith("Batchnorm"):
        return reader.arrays(shapes), None
    reader.take("folding_mode", one_of("ema_stats_folding", "batch_stats_folding"), "ema_stats_folding")
    reader.any_value("ema_freeze_delay")
    reader.fixed("center", True)  # without it, QKeras itself fails
    epsilon = normalization_epsilon(reader, len(kernel) - 1)
    inner = normalization_names(reader.boolean("scale", True), center=True)
    arrays = reader.arrays({**shapes, "iteration": None, **{f"batchnorm/{each}": (outputs,) for each in inner}})
    return arrays, fold(reader, {each: arrays[f"batchnorm/{each}"] for each in inner}, outputs, epsilon)


def bias_shape(reader: LayerReader, outputs: int) -> dict[str, tuple[int, ...]]:
    """`{"bias": (outputs,)}`, or nothing when the layer has no bias."""
    return {"bias": (outputs,)} if reader.boolean("use_bias", True) else {}


def finish_weighted(reader: LayerReader, bias: FloatArray | None, folded: BatchNormFold | None = None) -> None:
    """Add the nodes after the sum of every weighted layer: bias, then activation."""
    quantizer = None if reader.plain else reader.quantizer("bias_quantizer", CONSTANT)
    position, shape = reader.last
    if bias is None and folded is not None:
        bias = np.zeros(shape[-1], np.float32)
    if bias is not None:
        at = reader.add(BiasNode(reader.name, (position,), shape))
        reader.biases[at] = FloatBias(bias, quantizer, folded)
    add_activation(reader, *reader.last)
    reader.image_output()
