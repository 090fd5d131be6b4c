"""Pooling: the largest value or the mean under each window, or of the whole image."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from stq_deploy.frontend.layers.activation import add_activation
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.quantizers import AVERAGE
from stq_deploy.frontend.source import AffineNode, AveragePoolNode, MaxPoolNode, ReshapeNode
from stq_deploy.network.ops import Window


@register("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "QAveragePooling2D")
def import_pooling(reader: LayerReader) -> None:
    """A mean counts no padding. QKeras's is the sum of a full window times the quantized reciprocal of its area."""
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    size = reader.pair("pool_size")
    stride = reader.pair("strides", size)
    before, after = (0, 0), (0, 0)
    if reader.choice("padding", "valid", "same") == "same":
        before, after = Window.same_padding((height, width), size, stride)
    window = Window(size, stride, pad_before=before, pad_after=after)
    shape = (*window.output_size(height, width), channels)
    reader.add(_node(reader)(reader.name, (position,), shape, window))
    _finish_average(reader, size[0] * size[1])
    reader.image_output()


@register(
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "QGlobalAveragePooling2D",
)  # fmt: skip
def import_global_pooling(reader: LayerReader) -> None:
    """QKeras's mean is the sum times the quantized reciprocal of the image's area."""
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    reader.add(_node(reader)(reader.name, (position,), (1, 1, channels), Window((height, width))))
    _finish_average(reader, height * width)
    if reader.boolean("keepdims", False):
        reader.image_output()
    else:
        reader.add(ReshapeNode(reader.name, (reader.last[0],), (channels,)))


def _node(reader: LayerReader) -> type[MaxPoolNode] | type[AveragePoolNode]:
    return MaxPoolNode if "Max" in reader.layer.kind else AveragePoolNode


def _finish_average(reader: LayerReader, area: int) -> None:
    """Nodes that QKeras's pools add: the mean times `area`, times the quantized `1 / area`; then an activation."""
    if not reader.layer.kind.startswith("Q"):
        return
    quantizer = reader.quantizer("average_quantizer", AVERAGE)
    if quantizer is not None:
        if isinstance(quantizer.parameters["alpha"], str):
            raise reader.error(f"average_quantizer: {quantizer} fits its scale, and QKeras itself fails", "use alpha=1")
        reciprocal = Fraction(float(np.float32(1 / area)))
        for factor in (Fraction(area), reciprocal):
            position, shape = reader.last
            at = reader.add(AffineNode(reader.name, (position,), shape, (factor,), (Fraction(0),)))
        reader.numbers[at] = {"factor": quantizer}
    add_activation(reader, *reader.last)
