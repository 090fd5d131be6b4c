"""Dense, with or without QKeras's quantizers."""

from __future__ import annotations

import math

from stq_deploy.frontend.layers.convolution import bias_shape, finish_weighted
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import ConvolveNode, DenseNode, FloatArray, ReshapeNode
from stq_deploy.network.ops import Window


@register("QDense", "Dense")
def import_dense(reader: LayerReader) -> None:
    """Keras contracts the last axis of an input with more axes, like a convolution of size 1."""
    inputs, units = reader.only_input()[1][-1], reader.integer("units")
    quantizer = reader.kernel_quantizer("kernel_quantizer", "quantized_bits(4,0,1,alpha='auto_po2')")
    arrays = reader.arrays({"kernel": (inputs, units), **bias_shape(reader, units)})
    at, shape = start_dense(reader, units)
    reader.add_kernel(at, arrays["kernel"], quantizer, shape)
    finish_dense(reader, units, arrays.get("bias"))


def start_dense(reader: LayerReader, units: int) -> tuple[int, tuple[int, ...]]:
    """Add the node that sums; (its position, the shape of its kernel)."""
    position, shape = reader.only_input()
    inputs = shape[-1]
    reader.macs += math.prod(shape[:-1]) * inputs * units
    if len(shape) == 1:
        return reader.add(DenseNode(reader.name, (position,), (units,))), (inputs, units)
    image = shape if len(shape) == 3 else (1, math.prod(shape[:-1]), inputs)
    if image != shape:
        position = reader.add(ReshapeNode(reader.name, (position,), image))
    at = reader.add(ConvolveNode(reader.name, (position,), (*image[:-1], units), Window((1, 1))))
    return at, (1, 1, inputs, units)


def finish_dense(reader: LayerReader, units: int, bias: FloatArray | None) -> None:
    """Add the nodes after the sum, and give the output the axes of the input."""
    finish_weighted(reader, bias)
    position, found = reader.last
    shape = (*reader.only_input()[1][:-1], units)
    if found != shape:
        reader.add(ReshapeNode(reader.name, (position,), shape))
