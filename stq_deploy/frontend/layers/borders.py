"""ZeroPadding and Cropping: rows and columns put around an image, or cut off."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import CropNode, PadNode


@register("ZeroPadding1D", "ZeroPadding2D")
def import_zero_padding(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    (top, bottom), (left, right) = reader.sides("padding")
    shape = (top + height + bottom, left + width + right, channels)
    reader.add(PadNode(reader.name, (position,), shape, before=(top, left), after=(bottom, right)))
    reader.image_output()


@register("Cropping1D", "Cropping2D")
def import_cropping(reader: LayerReader) -> None:
    position, (height, width, channels) = reader.image_input()
    reader.fixed("data_format", "channels_last", None)
    (top, bottom), (left, right) = reader.sides("cropping")
    shape = (height - top - bottom, width - left - right, channels)
    reader.add(CropNode(reader.name, (position,), shape, before=(top, left)))
    reader.image_output()
