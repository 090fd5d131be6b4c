"""UpSampling: every pixel is repeated."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import UpsampleNode


@register("UpSampling1D", "UpSampling2D")
def import_upsampling(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    if not reader.in_rows:
        reader.fixed("interpolation", "nearest")
    size = reader.pair("size", (2, 2))
    shape = (size[0] * height, size[1] * width, channels)
    reader.add(UpsampleNode(reader.name, (position,), shape, size))
    reader.image_output()
