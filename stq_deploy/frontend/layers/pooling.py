"""Pooling: the largest value or the mean under each window, or of the whole image."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import AveragePoolNode, MaxPoolNode, ReshapeNode
from stq_deploy.network.ops import Window


@register("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
def import_pooling(reader: LayerReader) -> None:
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
    reader.image_output()


@register("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D")
def import_global_pooling(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    at = reader.add(_node(reader)(reader.name, (position,), (1, 1, channels), Window((height, width))))
    if not reader.boolean("keepdims", False):
        reader.add(ReshapeNode(reader.name, (at,), (channels,)))
    else:
        reader.image_output()


def _node(reader: LayerReader) -> type[MaxPoolNode] | type[AveragePoolNode]:
    return MaxPoolNode if "Max" in reader.layer.kind else AveragePoolNode
