"""Dense, with or without QKeras's quantizers."""

from __future__ import annotations

import math

from stq_deploy.frontend.layers.convolution import bias_shape, finish_weighted
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import ConvolveNode, DenseNode, ReshapeNode
from stq_deploy.network.ops import Window


@register("QDense", "Dense")
def import_dense(reader: LayerReader) -> None:
    """Keras contracts the last axis of an input with more axes, like a convolution of size 1."""
    position, shape = reader.only_input()
    inputs, units = shape[-1], reader.integer("units")
    quantizer = reader.kernel_quantizer("kernel_quantizer", "quantized_bits(4,0,1,alpha='auto_po2')")
    arrays = reader.arrays({"kernel": (inputs, units), **bias_shape(reader, units)})
    if len(shape) == 1:
        at = reader.add(DenseNode(reader.name, (position,), (units,)))
        reader.add_kernel(at, arrays["kernel"], quantizer)
    else:
        image = shape if len(shape) == 3 else (1, math.prod(shape[:-1]), inputs)
        if image != shape:
            position = reader.add(ReshapeNode(reader.name, (position,), image))
        at = reader.add(ConvolveNode(reader.name, (position,), (*image[:-1], units), Window((1, 1))))
        reader.add_kernel(at, arrays["kernel"], quantizer, (1, 1, inputs, units))
    reader.macs += math.prod(shape[:-1]) * arrays["kernel"].size
    finish_weighted(reader, arrays.get("bias"))
    position, found = reader.last
    if found != (*shape[:-1], units):
        reader.add(ReshapeNode(reader.name, (position,), (*shape[:-1], units)))
