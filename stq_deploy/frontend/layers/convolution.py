"""Conv2D, DepthwiseConv2D and SeparableConv2D, with QKeras's quantizers or without."""

from __future__ import annotations

from stq_deploy.frontend.layers.activation import add_activation
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.quantizers import BIAS_QUANTIZERS
from stq_deploy.frontend.source import BiasNode, ConvolveNode, DepthwiseNode
from stq_deploy.network.ops import Window

_EXAMPLE = "ternary(alpha='auto_po2')"


@register("QConv2D", "Conv2D")
def import_convolution(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    filters = reader.integer("filters")
    window = _window(reader, height, width)
    quantizer = reader.kernel_quantizer("kernel_quantizer", _EXAMPLE)
    arrays = reader.arrays({"kernel": (*window.size, channels, filters)} | bias_shape(reader, filters))
    shape = (*window.output_size(height, width), filters)
    at = reader.add(ConvolveNode(reader.name, (position,), shape, window))
    reader.add_kernel(at, arrays["kernel"], quantizer)
    reader.macs += shape[0] * shape[1] * arrays["kernel"].size
    finish_weighted(reader, at, shape, arrays.get("bias"))


@register("QDepthwiseConv2D", "DepthwiseConv2D")
def import_depthwise_convolution(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    multiplier = reader.integer("depth_multiplier", 1)
    window = _window(reader, height, width)
    quantizer = reader.kernel_quantizer("depthwise_quantizer", _EXAMPLE)
    outputs = channels * multiplier
    arrays = reader.arrays({"depthwise_kernel": (*window.size, channels, multiplier)} | bias_shape(reader, outputs))
    shape = (*window.output_size(height, width), outputs)
    at = reader.add(DepthwiseNode(reader.name, (position,), shape, window))
    reader.add_kernel(at, arrays["depthwise_kernel"], quantizer)
    reader.macs += shape[0] * shape[1] * arrays["depthwise_kernel"].size
    finish_weighted(reader, at, shape, arrays.get("bias"))


@register("QSeparableConv2D", "SeparableConv2D")
def import_separable_convolution(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    filters, multiplier = reader.integer("filters"), reader.integer("depth_multiplier", 1)
    window = _window(reader, height, width)
    reader.any_value("kernel_initializer", "kernel_regularizer", "kernel_constraint")
    depthwise = reader.kernel_quantizer("depthwise_quantizer", _EXAMPLE)
    pointwise = reader.kernel_quantizer("pointwise_quantizer", _EXAMPLE)
    middle = channels * multiplier
    arrays = reader.arrays(
        {
            "depthwise_kernel": (*window.size, channels, multiplier),
            "pointwise_kernel": (1, 1, middle, filters),
        }
        | bias_shape(reader, filters)
    )
    size = window.output_size(height, width)
    first = reader.add(DepthwiseNode(reader.name, (position,), (*size, middle), window))
    reader.add_kernel(first, arrays["depthwise_kernel"], depthwise)
    second = reader.add(ConvolveNode(reader.name, (first,), (*size, filters), Window((1, 1))))
    reader.add_kernel(second, arrays["pointwise_kernel"], pointwise)
    reader.macs += size[0] * size[1] * (arrays["depthwise_kernel"].size + arrays["pointwise_kernel"].size)
    finish_weighted(reader, second, (*size, filters), arrays.get("bias"))


def _window(reader: LayerReader, height: int, width: int) -> Window:
    reader.fixed("data_format", "channels_last", None)
    reader.fixed("groups", 1)
    size = reader.pair("kernel_size")
    stride = reader.pair("strides", (1, 1))
    dilation = reader.pair("dilation_rate", (1, 1))
    if stride != (1, 1) and dilation != (1, 1):
        raise reader.error(
            f"strides={stride} together with dilation_rate={dilation} is not supported",
            "use one of the two; TensorFlow has no such convolution either",
        )
    if reader.choice("padding", "same", "valid") == "valid":
        return Window(size, stride, dilation)
    before, after = Window.same_padding((height, width), size, stride, dilation)
    return Window(size, stride, dilation, before, after)


def bias_shape(reader: LayerReader, outputs: int) -> dict[str, tuple[int, ...]]:
    """`{"bias": (outputs,)}`, or nothing when the layer has no bias."""
    return {"bias": (outputs,)} if reader.boolean("use_bias", True) else {}


def finish_weighted(reader: LayerReader, position: int, shape: tuple[int, ...], bias: object) -> None:
    """What follows the sum in every weighted layer: bias, then activation."""
    import numpy as np

    quantizer = None if reader.plain else reader.quantizer("bias_quantizer", BIAS_QUANTIZERS)
    if bias is not None:
        position = reader.add(BiasNode(reader.name, (position,), shape))
        reader.biases[position] = (np.asarray(bias, np.float32), quantizer)
    add_activation(reader, position, shape)
