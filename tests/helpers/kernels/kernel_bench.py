"""Exact instruction counts and estimated cycles of the kernels over a fixed list of layers.

Levels and weights are random. No kernel's count depends on them, except with thresholds, which are not measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.predict import predict
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Argument, BareMetalProgram, Struct

_WEIGHT_OFFSETS = {1: 1, 2: 1, 4: 8, 8: 0, 16: 0}
_OUTPUT_DTYPES = {"multiplier": "int8", "keep_s16": "int16", "keep_s32": "int32"}


@dataclass(frozen=True)
class Layer:
    """A layer with weights ("convolve", "depthwise_convolve", "dense") or a "max_pool".

    Attributes:
        input_shape: (height, width, channels); a dense layer's inputs are (1, 1, inputs).
        outputs: output channels.
        kernel, stride: (vertical, horizontal); padding is "same", a pool's "valid".
        bits: width of a weight; 0 without weights.
        output: requantization: "multiplier" to int8, "keep_s16", "keep_s32".
        cmsis_nn: instructions per MAC of CMSIS-NN's int8 kernel on the same layer, if known.
    """

    name: str
    op: str
    input_shape: tuple[int, int, int]
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    bits: int = 0
    input_type: str = "int8"
    output: str = "multiplier"
    cmsis_nn: float | None = None

    @property
    def output_size(self) -> tuple[int, int]:
        height, width, _ = self.input_shape
        return -(-height // self.stride[0]), -(-width // self.stride[1])

    @property
    def macs(self) -> int:
        """Multiply-accumulates; 0 for a pool."""
        taps = self.kernel[0] * self.kernel[1]
        per_output = {"convolve": taps * self.input_shape[2], "dense": self.input_shape[2], "depthwise_convolve": taps}
        return self.output_size[0] * self.output_size[1] * self.outputs * per_output.get(self.op, 0)

    @property
    def kernel_name(self) -> str:
        return arguments.kernel_name(self.op, self.bits, self.input_type) if self.bits else f"stq_{self.op}_s8"

    @property
    def row_words(self) -> tuple[int, int]:
        """Rows of packed weights, and words in each."""
        taps = self.kernel[0] * self.kernel[1]
        rows, elements = {
            "convolve": (self.outputs, taps * self.input_shape[2]),
            "depthwise_convolve": (taps, self.outputs),
            "dense": (self.outputs, self.input_shape[2]),
        }.get(self.op, (0, 0))
        return rows, -(-elements * self.bits // 32)


@dataclass(frozen=True)
class Measurement:
    """A layer's kernel, run once.

    Attributes:
        instructions: executed; exact.
        estimated_cycles: of a Cortex-M7 with code and data beside the core; an estimate.
        weight_bytes, scratch_bytes: what the kernel takes.
    """

    layer: Layer
    instructions: int
    estimated_cycles: int
    weight_bytes: int
    scratch_bytes: int

    @property
    def per_mac(self) -> float | None:
        """Instructions per MAC; None for a layer without MACs."""
        return self.instructions / self.layer.macs if self.layer.macs else None

    @property
    def estimated_per_mac(self) -> float | None:
        """Estimated cycles per MAC; None for a layer without MACs."""
        return self.estimated_cycles / self.layer.macs if self.layer.macs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer.name,
            "kernel": self.layer.kernel_name,
            "macs": self.layer.macs,
            "instructions": self.instructions,
            "instructions_per_mac": self.per_mac and round(self.per_mac, 4),
            "estimated_cycles": self.estimated_cycles,
            "estimated_cycles_per_mac": self.estimated_per_mac and round(self.estimated_per_mac, 4),
            "weight_bytes": self.weight_bytes,
            "scratch_bytes": self.scratch_bytes,
            "cmsis_nn_s8_instructions_per_mac": self.layer.cmsis_nn,
        }


# CMSIS-NN's figures: its int8 kernels on the same layers, gcc 12.2 -O3, counted on an emulated Cortex-M7.
COMPARED_LAYERS = (
    Layer("conv 3x3 32x32x1->32", "convolve", (32, 32, 1), 32, (3, 3), cmsis_nn=8.27),
    Layer("conv 3x3 32x32x16->16", "convolve", (32, 32, 16), 16, (3, 3), cmsis_nn=2.31),
    Layer("conv 3x3/2 32x32x16->32", "convolve", (32, 32, 16), 32, (3, 3), (2, 2), cmsis_nn=2.11),
    Layer("conv 3x3 16x16x32->32", "convolve", (16, 16, 32), 32, (3, 3), cmsis_nn=1.91),
    Layer("conv 3x3 8x8x64->64", "convolve", (8, 8, 64), 64, (3, 3), cmsis_nn=1.755),
    Layer("conv 3x3 16x16x64->64", "convolve", (16, 16, 64), 64, (3, 3), cmsis_nn=1.755),
    Layer("pointwise 16x16x64->128", "convolve", (16, 16, 64), 128, cmsis_nn=2.03),
    Layer("pointwise 25x5x64->64", "convolve", (25, 5, 64), 64, cmsis_nn=2.05),
    Layer("depthwise 3x3 25x5x64", "depthwise_convolve", (25, 5, 64), 64, (3, 3), cmsis_nn=8.25),
    Layer("depthwise 3x3 16x16x128", "depthwise_convolve", (16, 16, 128), 128, (3, 3), cmsis_nn=8.39),
    Layer("conv 10x4/2 49x10x1->64", "convolve", (49, 10, 1), 64, (10, 4), (2, 2), cmsis_nn=3.40),
    Layer("dense 1024->512", "dense", (1, 1, 1024), 512, cmsis_nn=1.92),
    Layer("dense 4096->128", "dense", (1, 1, 4096), 128, cmsis_nn=1.89),
)

STQ_LAYERS = (
    Layer("conv1 5x5 32x32x1->32", "convolve", (32, 32, 1), 32, (5, 5), bits=2),
    Layer("dw1 3x3 32x32x32", "depthwise_convolve", (32, 32, 32), 32, (3, 3), bits=2),
    Layer("pool1 32x32x32", "max_pool", (32, 32, 32), 32, (2, 2), (2, 2)),
    Layer("conv2 5x5 16x16x32->128", "convolve", (16, 16, 32), 128, (5, 5), bits=2),
    Layer("dw2 3x3 16x16x128", "depthwise_convolve", (16, 16, 128), 128, (3, 3), bits=2),
    Layer("pool2 16x16x128", "max_pool", (16, 16, 128), 128, (2, 2), (2, 2)),
    Layer("conv3 3x3 8x8x128->256", "convolve", (8, 8, 128), 256, (3, 3), bits=2),
    Layer("sep1 3x3 8x8x256", "depthwise_convolve", (8, 8, 256), 256, (3, 3), bits=2, output="keep_s16"),
    Layer("sep1 1x1 8x8x256->256", "convolve", (8, 8, 256), 256, bits=2, input_type="int16"),
    Layer("pool3 8x8x256", "max_pool", (8, 8, 256), 256, (2, 2), (2, 2)),
    Layer("fc1 4096->128", "dense", (1, 1, 4096), 128, bits=4),
    Layer("fc2 128->32", "dense", (1, 1, 128), 32, bits=4),
    Layer("fc3 32->10", "dense", (1, 1, 32), 10, bits=4, output="keep_s32"),
)


def compared_layers() -> Iterator[Layer]:
    """`COMPARED_LAYERS` with weights of 2, 4 and 8 bits each."""
    for layer in COMPARED_LAYERS:
        for bits in arguments.WEIGHT_NAMES:
            yield replace(layer, bits=bits)


def measure(program: BareMetalProgram, layer: Layer) -> Measurement:
    """Run one layer, count, and estimate its cycles.

    Raises:
        StqError: the kernel refuses its arguments, or faults.
    """
    rng = np.random.default_rng(0)
    rows, words = layer.row_words
    weights = rng.integers(0, 2**32, rows * words).astype(np.uint32)
    call = program.call(layer.kernel_name, _arguments(program, layer, weights, rng), trace=True)
    if call.result != 0:
        raise StqError(f"{layer.kernel_name} answered {call.result}", where=layer.name)
    assert call.trace is not None  # asked for
    cycles = round(predict(call.trace, core_model("cortex-m7")).cycles)
    return Measurement(layer, call.instructions, cycles, weights.nbytes, _scratch_bytes(program, layer))


def _arguments(
    program: BareMetalProgram, layer: Layer, weights: np.ndarray[Any, Any], rng: np.random.Generator
) -> list[Argument]:
    x = rng.integers(-128, 128, layer.input_shape).astype(layer.input_type)
    output = np.zeros((*layer.output_size, layer.outputs), _OUTPUT_DTYPES[layer.output])
    input_dims = arguments.dims(*layer.input_shape)
    output_dims = arguments.dims(*layer.output_size, layer.outputs)
    if layer.op == "max_pool":
        return [arguments.pool_params(layer.kernel, layer.stride), input_dims, x, output_dims, output]

    # int8 levels are 0..255 minus 128, as most of the zoo's are.
    input_offset = 128 if layer.input_type == "int8" else 0
    requantize = _requantize(layer, rng)
    offsets = (input_offset, _WEIGHT_OFFSETS[layer.bits])
    scratch = arguments.context(np.zeros(_scratch_bytes(program, layer) // 4, np.int32))
    if layer.op == "dense":
        inputs, outputs = _sizes(layer)
        return [scratch, arguments.dense_params(*offsets), requantize, inputs, x, weights, outputs, output]
    filter_dims, _ = _sizes(layer)
    params = arguments.conv_params(*offsets, layer.stride, _same_padding(layer))
    return [scratch, params, requantize, input_dims, x, filter_dims, weights, output_dims, output]


def _sizes(layer: Layer) -> tuple[Argument, ...]:
    """Arguments of the kernel's function for the size of its scratch memory."""
    if layer.op == "dense":
        return layer.input_shape[2], layer.outputs
    channels = layer.input_shape[2] if layer.op == "convolve" else layer.outputs
    return arguments.dims(*layer.kernel, channels), arguments.dims(*layer.output_size, layer.outputs)


def _scratch_bytes(program: BareMetalProgram, layer: Layer) -> int:
    if layer.op == "max_pool":
        return 0
    return program.call(f"{layer.kernel_name}_get_buffer_size", _sizes(layer)).result


def _requantize(layer: Layer, rng: np.random.Generator) -> Struct:
    if layer.output != "multiplier":
        return arguments.requantize("keep", _OUTPUT_DTYPES[layer.output])
    return arguments.requantize(
        "multiplier",
        left_shift=3,
        right_shift=4,
        minimum=-128,
        maximum=127,
        multiplier=rng.integers(1 << 20, 1 << 28, layer.outputs).astype(np.int32),
        offset=rng.integers(-100, 100, layer.outputs).astype(np.int32),
    )


def _same_padding(layer: Layer) -> tuple[int, int]:
    """(top, left) of "same" padding."""
    before = []
    for size, n, kernel, stride in zip(
        layer.output_size, layer.input_shape[:2], layer.kernel, layer.stride, strict=True
    ):
        before.append(max((size - 1) * stride + kernel - n, 0) // 2)
    return before[0], before[1]
