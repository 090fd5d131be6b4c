"""MaxPooling2D."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import MaxPoolNode
from stq_deploy.network.ops import Window


@register("MaxPooling2D")
def import_max_pooling(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    size = reader.pair("pool_size")
    stride = size if reader.raw("strides") is None else reader.pair("strides")
    before, after = (0, 0), (0, 0)
    if reader.choice("padding", "valid", "same") == "same":
        before, after = Window.same_padding((height, width), size, stride)
    window = Window(size, stride, pad_before=before, pad_after=after)
    reader.add(MaxPoolNode(reader.name, (position,), (*window.output_size(height, width), channels), window))
