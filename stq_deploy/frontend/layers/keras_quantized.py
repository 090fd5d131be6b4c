"""Dense layers that Keras 3 has quantized by `model.quantize`: integers and scales exactly as the file holds them.

The arithmetic is that of Keras 3.15 (`keras/src/layers/core/dense.py`): with int8, and with int4 by channel, a weight
is `kernel / kernel_scale[output]`. With int4 in blocks, it is `(kernel - kernel_zero[output]) * kernel_scale[output]`,
where a block has numbers of its own. Two 4-bit numbers share a byte, the first of them in its low half.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layers.convolution import bias_shape
from stq_deploy.frontend.layers.dense import finish_dense, start_dense
from stq_deploy.frontend.layers.reader import POST_TRAINING, LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.layers.settings import QUANTIZED_DENSE
from stq_deploy.frontend.source import FloatArray, IntegerKernel
from stq_deploy.frontend.values import AcceptedValues, is_whole, one_of

Integers = npt.NDArray[np.int64]

_MODES = one_of("int8", "int4")
_BLOCKS = AcceptedValues("-1 (by channel), or a number of inputs", lambda v: v == -1 or is_whole(v, 1, 1 << 20), -1)
_RANGES = AcceptedValues("None, or a class of Keras's quantizers", lambda v: v is None or isinstance(v, str), None)


@register(QUANTIZED_DENSE)
def import_quantized_dense(reader: LayerReader) -> None:
    """A Dense that Keras 3 has quantized to int8 or int4: its integers and scales are taken as they are.

    Keras scales the input of an int8 one by the largest value of each sample, unless it is quantized with
    `Int8QuantizationConfig(activation_quantizer=None)`. Then `--post-training int8` is needed, whose ranges are fixed.
    """
    units, inputs = reader.integer("units"), reader.only_input()[1][-1]
    mode = str(reader.take("mode", _MODES))
    block = int(reader.take("block_size", _BLOCKS, -1))
    ranges = reader.take("activation_quantizer", _RANGES)
    blocks = math.ceil(inputs / block) if block > 0 else 1
    if blocks > 1:
        raise reader.error(
            f"its {inputs} inputs are quantized in {blocks} blocks of {block}, each with a scale of its own, and an "
            "output here has one scale",
            "quantize the model with Int4QuantizationConfig(block_size=-1)",
        )
    arrays = reader.arrays(_shapes(reader, mode, block, inputs, units))
    if block > 0 and arrays["g_idx"].any():
        raise reader.error("its inputs are of blocks that it does not have", "save the model again")
    at, shape = start_dense(reader, units)
    kernel = _kernel(reader, mode, arrays, units)
    reader.integer_kernels[at] = replace(kernel, integers=kernel.integers.reshape(shape))
    reader.quantizers["kernel"] = f"{mode} of Keras 3"
    if ranges is not None:
        reader.other_obstacle = reader.error(
            f"Keras 3 scales its input by the largest value of each sample ({ranges}); ranges here are fixed",
            f"{POST_TRAINING}: its weights stay as they are, and its input gets the range of the samples; or quantize "
            "it with Int8QuantizationConfig(activation_quantizer=None)",
        )
    finish_dense(reader, units, arrays.get("bias"))


def _shapes(reader: LayerReader, mode: str, block: int, inputs: int, units: int) -> Shapes:
    """The arrays in Keras's order."""
    columns = units if mode == "int8" else math.ceil(units / 2)
    shapes = {"kernel": (inputs, columns), **bias_shape(reader, units)}
    if block < 0:
        return {**shapes, "kernel_scale": (units,)}
    return {**shapes, "kernel_scale": (1, units), "kernel_zero": (1, units), "g_idx": (inputs,)}


def _kernel(reader: LayerReader, mode: str, arrays: dict[str, FloatArray], units: int) -> IntegerKernel:
    """The weights as integers and a scale for each output."""
    integers = _whole(reader, "kernel", arrays["kernel"])
    scale = arrays["kernel_scale"].astype(np.float64).reshape(-1)
    if (scale <= 0).any():
        raise reader.error("a scale of its weights is not above 0", "quantize the model again")
    if mode != "int8":
        integers = _unpacked(integers)[:, :units]
    if "kernel_zero" in arrays:
        integers = integers - _whole(reader, "kernel_zero", arrays["kernel_zero"])
    else:
        scale = 1 / scale
    bits = _width(integers)
    stored = integers.astype(np.int16) if bits == 16 else integers.astype(np.int8)
    return IntegerKernel(stored, scale, max(bits, 8) if mode == "int8" else bits)


def _whole(reader: LayerReader, what: str, values: FloatArray) -> Integers:
    integers = values.astype(np.int64) if (np.abs(values) <= 128).all() else None
    if integers is None or (integers != values).any() or (integers == 128).any():
        raise reader.error(f"its array {what} holds other numbers than bytes", "quantize the model again")
    return integers


def _unpacked(packed: Integers) -> Integers:
    """(inputs, 2 n) numbers of 4 bits from (inputs, n) bytes."""
    halves = np.stack([packed & 15, (packed >> 4) & 15], axis=-1).reshape(len(packed), -1)
    return (halves ^ 8) - 8


def _width(integers: Integers) -> int:
    """Narrowest width of a packed weight."""
    return next(bits for bits in (4, 8, 16) if -(1 << bits - 1) <= integers.min() and integers.max() < 1 << bits - 1)
