"""What the cases of kernels on lanes share: the convolution, its levels, and a function that runs and compares it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Argument
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK, WindowCase, scratch_of

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LanesCase:
    """A convolution of few-bit weights, several of whose levels lie in one word.

    Attributes:
        window: the convolution; its `input_offset` is minus the zero point.
        levels: smallest and largest level of the input.
        nonzero: share of weights that are not 0 (2-bit), or that are 1 (1-bit).
        fill: "random" weights and levels; "plus" and "minus" are the largest and the smallest weight everywhere, with
            every level the largest; "dead" is a weight of 0 everywhere.
    """

    window: WindowCase
    levels: tuple[int, int] = (0, 15)
    nonzero: float = 0.5
    fill: str = "random"

    def __str__(self) -> str:
        return f"{self.window} levels={self.levels} nonzero={self.nonzero} {self.fill}"

    @property
    def weight_offset(self) -> int:
        return 1 if self.window.weight_offset is None else self.window.weight_offset

    @property
    def rng(self) -> np.random.Generator:
        """The case's own random numbers, the same in every run."""
        return np.random.default_rng(zlib.crc32(str(self).encode()))


def case_levels(case: LanesCase, rng: np.random.Generator) -> Integers:
    """(H, W, C) levels of the input."""
    window, (low, high) = case.window, case.levels
    x = rng.integers(low, high + 1, (window.height, window.width, window.channels))
    return x if case.fill == "random" else np.full_like(x, high)


def case_sums(case: LanesCase, x: Integers, weights: Integers) -> Integers:
    """The sums of NumPy's direct convolution; weights (KH, KW, C / groups, O)."""
    window = case.window
    return golden.convolve(
        x + window.input_offset, weights, window.output_size, window.stride, window.pad, window.dilation
    )


def run_kernel(
    library: KernelLibrary, name: str, case: LanesCase, x: Integers, filter_shape: tuple[int, ...], weights: Argument,
    acc: Integers, rng: np.random.Generator, *, in_place: bool = False,
) -> None:  # fmt: skip
    """Run the kernel `name` and compare every output.

    Args:
        weights: the kernel's argument for them.
        acc: the expected sums.
        in_place: whether the output replaces the input.
    """
    window = case.window
    requantization = requantizations.make(window.form, acc, rng)
    params = arguments.gather_params(
        arguments.conv_params(window.input_offset, case.weight_offset, window.stride, window.pad, window.dilation),
        case.levels,
    )
    input_dims, filter_dims = arguments.dims(*x.shape), arguments.dims(*filter_shape)
    output_dims = arguments.dims(*acc.shape)
    size = library.call(f"{name}_get_buffer_size", params, input_dims, filter_dims, output_dims)
    levels, output = x.astype(window.input_type), np.zeros(acc.shape, requantization.dtype)
    memory = np.zeros(-(-max(levels.nbytes, output.nbytes) // 4), np.int32)
    memory.view(np.uint8)[: levels.nbytes] = levels.reshape(-1).view(np.uint8)
    status = library.call(
        name,
        arguments.context(scratch_of(size, rng)),
        params,
        requantization.struct,
        input_dims,
        memory if in_place else levels,
        filter_dims,
        weights,
        output_dims,
        memory if in_place else output,
    )
    assert status == OK
    if in_place:
        output = memory.view(np.uint8)[: output.nbytes].view(output.dtype).reshape(output.shape)
    np.testing.assert_array_equal(output, requantization.expected)


def same(height: int, width: int, channels: int, outputs: int, kernel: int, stride: int = 1) -> WindowCase:
    """A square window with "same" padding."""
    pads = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in (height, width)]
    return WindowCase(
        height, width, channels, outputs, (kernel, kernel), (stride, stride), (pads[0] // 2, pads[1] // 2),
        (pads[0] - pads[0] // 2, pads[1] - pads[1] // 2),
    )  # fmt: skip


def call_pointwise(
    library: KernelLibrary, name: str, shape: tuple[int, int, int], filter_channels: int, outputs: int,
    levels: tuple[int, int] = (0, 15), missing: int = 0,
) -> int:  # fmt: skip
    """The answer of a kernel of 2-bit weights to one pixel's window of zeros; a refused call writes nothing.

    Args:
        filter_channels: what the call states of the filter's channels, right or not.
        missing: bytes that the scratch memory lacks.
    """
    params = arguments.gather_params(arguments.conv_params(0, 1), levels)
    input_dims, filter_dims = arguments.dims(*shape), arguments.dims(1, 1, filter_channels)
    output_dims = arguments.dims(*shape[:2], outputs)
    size = library.call(f"{name}_get_buffer_size", params, input_dims, filter_dims, output_dims) - missing
    output = np.full((*shape[:2], outputs), 99, np.int8)
    status = library.call(
        name, arguments.context(np.zeros(size // 4, np.int32)), params, arguments.requantize("keep"), input_dims,
        np.zeros(shape, np.int8), filter_dims, np.full(-(-shape[2] // 16), 0x55555555, np.uint32), output_dims, output,
    )  # fmt: skip
    assert status == OK or (output == 99).all()
    return status
