"""The program's scratch formulas equal the compiled kernels'."""

from __future__ import annotations

import itertools

import pytest

from stq_deploy.program.kernels.choice import FAMILIES
from stq_deploy.program.kernels.convolve import convolve_scratch, depthwise_convolve_scratch
from stq_deploy.program.kernels.dense import dense_scratch
from stq_deploy.program.kernels.depthwise_lanes import LanesLayer
from stq_deploy.program.kernels.requantized import channel_block_scratch
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.depthwise8_cases import EVERY_CASE as LANES_CASES
from tests.helpers.kernels.gather_cases import EVERY_CASE
from tests.helpers.kernels.kernel_library import KernelLibrary

SIZES = [1, 2, 3, 15, 16, 17, 255, 800, 4096]
BLOCKED = ("average_pool", "rescale", "add", "maximum", "minimum", "multiply")


@pytest.mark.parametrize("bits", arguments.WEIGHT_NAMES)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_weighted_kernels(library: KernelLibrary, bits: int, dtype: str) -> None:
    for kernel, channels, outputs in itertools.product([(1, 1), (3, 3), (5, 4)], SIZES, [1, 2, 7, 128]):
        name = arguments.kernel_name("convolve", bits, dtype) + "_get_buffer_size"
        for height in (1, 5, 7, 8, 9):
            compiled = library.call(name, arguments.dims(*kernel, channels), arguments.dims(height, 9, outputs))
            assert compiled == convolve_scratch(*kernel, channels, bits, height, outputs)
        name = arguments.kernel_name("depthwise_convolve", bits, dtype) + "_get_buffer_size"
        compiled = library.call(name, arguments.dims(*kernel, channels), arguments.dims(9, 9, channels))
        assert compiled == depthwise_convolve_scratch(*kernel)
    for inputs, outputs in itertools.product(SIZES, SIZES):
        name = arguments.kernel_name("dense", bits, dtype) + "_get_buffer_size"
        assert library.call(name, inputs, outputs) == dense_scratch(inputs, bits, outputs)


@pytest.mark.parametrize("kernel", [k.function for spec in FAMILIES if spec.op.kind in BLOCKED for k in spec.kernels()])
def test_kernels_that_work_on_blocks_of_channels(library: KernelLibrary, kernel: str) -> None:
    for channels in SIZES:
        assert library.call(f"{kernel}_get_buffer_size", channels) == channel_block_scratch(channels)


def test_gather_kernels(library: KernelLibrary) -> None:
    for case in EVERY_CASE:
        window = case.window
        layer = case.layer
        compiled = library.call(
            f"{case.name}_get_buffer_size",
            arguments.gather_params(
                arguments.conv_params(
                    window.input_offset, case.weight_offset, window.stride, window.pad, window.dilation
                ),
                case.levels,
            ),
            arguments.dims(*layer.input_shape),
            arguments.dims(*window.kernel, layer.group_channels),
            arguments.dims(*layer.output_shape),
        )
        assert compiled == layer.scratch_bytes, str(case)
        assert layer.offsets_fit


def test_depthwise_kernels_on_lanes(library: KernelLibrary) -> None:
    for case in LANES_CASES:
        window = case.window
        layer = LanesLayer(window.output_size, window.kernel, window.stride, window.dilation)
        compiled = library.call(
            f"{case.name}_get_buffer_size",
            arguments.gather_params(
                arguments.conv_params(
                    window.input_offset, case.weight_offset, window.stride, window.pad, window.dilation
                ),
                case.levels,
            ),
            arguments.dims(window.height, window.width, window.channels),
            arguments.dims(*window.kernel, window.channels),
            arguments.dims(*window.output_size, window.channels),
        )
        assert compiled == layer.scratch_bytes, str(case)
