"""Dense, with QKeras's quantizers or without."""

from __future__ import annotations

from stq_deploy.frontend.layers.convolution import bias_shape, finish_weighted
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import DenseNode


@register("QDense", "Dense")
def import_dense(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    if len(shape) != 1:
        raise reader.error(
            f"its input has shape {shape} instead of a vector",
            "put Flatten before it, or use QConv2D with kernel_size=1 for the same sum at every pixel",
        )
    units = reader.integer("units")
    quantizer = reader.kernel_quantizer("kernel_quantizer", "quantized_bits(4,0,1,alpha='auto_po2')")
    arrays = reader.arrays({"kernel": (shape[0], units)} | bias_shape(reader, units))
    at = reader.add(DenseNode(reader.name, (position,), (units,)))
    reader.add_kernel(at, arrays["kernel"], quantizer)
    reader.macs += arrays["kernel"].size
    finish_weighted(reader, at, (units,), arrays.get("bias"))
