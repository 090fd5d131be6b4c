"""Cases for the kernels with weights: shapes, and one function each that runs a case and compares every output."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary

WEIGHT_OFFSETS = {1: 1, 2: 1, 4: 8, 8: 0, 16: 0}
OK = 0
FORM_COUNT = len(requantizations.FORMS)


@dataclass(frozen=True)
class WindowCase:
    """A convolution; of a depthwise one, `outputs` is a multiple of `channels`. Pairs are (vertical, horizontal)."""

    height: int
    width: int
    channels: int
    outputs: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    pad_after: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    input_offset: int = 0
    bits: int = 2
    input_type: str = "int8"
    form: str = "multiplier"
    weight_offset: int | None = None
    groups: int = 1

    @property
    def output_size(self) -> tuple[int, int]:
        sizes = []
        for i, n in enumerate((self.height, self.width)):
            reach = (self.kernel[i] - 1) * self.dilation[i] + 1
            sizes.append((n + self.pad[i] + self.pad_after[i] - reach) // self.stride[i] + 1)
        return sizes[0], sizes[1]

    def __str__(self) -> str:
        default = WindowCase(0, 0, 0, 0)
        changed = {k: v for k, v in self.__dict__.items() if v != getattr(default, k)}
        return " ".join(f"{k}={v}" for k, v in changed.items())


@dataclass(frozen=True)
class DenseCase:
    inputs: int
    outputs: int
    input_offset: int = 0
    bits: int = 2
    input_type: str = "int8"
    form: str = "multiplier"
    weight_offset: int | None = None

    def __str__(self) -> str:
        return "-".join(str(v) for v in self.__dict__.values())


def random_levels(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, offset: int, largest: int = 1 << 15
) -> npt.NDArray[np.int64]:
    """Levels over the whole type, extremes among them, but such that |level + offset| is at most `largest`."""
    info = np.iinfo(dtype)
    low, high = max(info.min, -largest - offset), min(info.max, largest - 1 - offset)
    levels = rng.integers(low, high + 1, shape)
    levels.reshape(-1)[:: max(1, levels.size // 3)] = rng.choice([low, high])
    return levels


def largest_level(bits: int, inputs: int) -> int:
    """What the contract allows, but a sum of `inputs` products stays below 2^29, as `requantizations` asks."""
    return min(1 << 15, max(1, (1 << 29) // (1 << (bits - 1)) // inputs))


def random_weights(rng: np.random.Generator, shape: tuple[int, ...], bits: int, offset: int) -> npt.NDArray[np.int64]:
    if bits == 1:
        return rng.integers(0, 2, shape) * (1 + offset) - offset
    low = -offset if bits < 8 else -(1 << (bits - 1))
    return rng.integers(low, low + (1 << bits), shape)


def run_convolve(library: KernelLibrary, case: WindowCase) -> None:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    offset = WEIGHT_OFFSETS[case.bits] if case.weight_offset is None else case.weight_offset
    weights = random_weights(rng, (*case.kernel, case.channels // case.groups, case.outputs), case.bits, offset)
    rows = weights.reshape(-1, case.outputs).T
    _run_window(library, case, "convolve", weights, rows, rng, offset)


def run_depthwise(library: KernelLibrary, case: WindowCase) -> None:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    offset = WEIGHT_OFFSETS[case.bits] if case.weight_offset is None else case.weight_offset
    shape = (*case.kernel, case.channels, case.outputs // case.channels)
    weights = random_weights(rng, shape, case.bits, offset)
    rows = weights.reshape(-1, case.outputs)
    _run_window(library, case, "depthwise_convolve", golden.depthwise_weights(weights), rows, rng, offset)


def _run_window(
    library: KernelLibrary,
    case: WindowCase,
    op: str,
    full_weights: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    rng: np.random.Generator,
    weight_offset: int,
) -> None:
    shape, inputs = (case.height, case.width, case.channels), full_weights[..., 0].size
    x = random_levels(rng, shape, case.input_type, case.input_offset, largest_level(case.bits, inputs))
    acc = golden.convolve(x + case.input_offset, full_weights, case.output_size, case.stride, case.pad, case.dilation)
    requantization = requantizations.make(case.form, acc, rng)
    name = arguments.kernel_name(op, case.bits, case.input_type)
    filter_dims = arguments.dims(*case.kernel, full_weights.shape[2] if op == "convolve" else case.outputs)
    output_dims = arguments.dims(*case.output_size, case.outputs)
    scratch = scratch_of(library.call(f"{name}_get_buffer_size", filter_dims, output_dims), rng)
    output = np.zeros(acc.shape, requantization.dtype)
    status = library.call(
        name,
        arguments.context(scratch),
        arguments.conv_params(case.input_offset, weight_offset, case.stride, case.pad, case.dilation),
        requantization.struct,
        arguments.dims(case.height, case.width, case.channels),
        x.astype(case.input_type),
        filter_dims,
        golden.pack_rows(rows, case.bits, weight_offset),
        output_dims,
        output,
    )
    assert status == OK
    np.testing.assert_array_equal(output, requantization.expected)


def run_dense(library: KernelLibrary, case: DenseCase, weight: int | None = None) -> None:
    """`weight`: of all weights, instead of random ones."""
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    weight_offset = WEIGHT_OFFSETS[case.bits] if case.weight_offset is None else case.weight_offset
    largest = largest_level(case.bits, case.inputs)
    x = random_levels(rng, (case.inputs,), case.input_type, case.input_offset, largest)
    weights = random_weights(rng, (case.outputs, case.inputs), case.bits, weight_offset)
    if weight is not None:
        weights[:] = weight
    acc = weights @ (x + case.input_offset)
    requantization = requantizations.make(case.form, acc, rng)
    name = arguments.kernel_name("dense", case.bits, case.input_type)
    scratch = scratch_of(library.call(f"{name}_get_buffer_size", case.inputs, case.outputs), rng)
    output = np.zeros(case.outputs, requantization.dtype)
    status = library.call(
        name,
        arguments.context(scratch),
        arguments.dense_params(case.input_offset, weight_offset),
        requantization.struct,
        case.inputs,
        x.astype(case.input_type),
        golden.pack_rows(weights, case.bits, weight_offset),
        case.outputs,
        output,
    )
    assert status == OK
    np.testing.assert_array_equal(output, requantization.expected)


def scratch_of(size: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Exactly `size` bytes of rubbish: what scratch holds before a call is of no meaning."""
    assert size % 4 == 0
    return rng.integers(-(2**31), 2**31, size // 4).astype(np.int32)


KINDS = [
    (bits, weight_offset, dtype)
    for dtype in ("int8", "int16")
    for bits, weight_offset in ((1, 1), (1, 0), (2, 1), (4, 8), (8, 0), (16, 0))
]
"""Every kernel: weight width and offset, input type; 2-bit weights with offset 2 have a test of their own."""


def every_kind(cases: list[WindowCase]) -> list[WindowCase]:
    """Each case for each kernel, the forms of requantization in turn."""
    return [
        replace(
            case, bits=bits, weight_offset=offset, input_type=dtype, form=requantizations.FORMS[(i + j) % FORM_COUNT]
        )
        for i, case in enumerate(cases)
        for j, (bits, offset, dtype) in enumerate(KINDS)
    ]


SHAPES = [
    WindowCase(1, 1, 1, 1, kernel=(1, 1)),
    WindowCase(1, 1, 16, 1, kernel=(1, 1), input_offset=3),
    WindowCase(3, 3, 1, 2, input_offset=128),
    WindowCase(5, 4, 3, 3, pad=(1, 1), pad_after=(1, 1), input_offset=-7),
    WindowCase(4, 4, 15, 5, kernel=(1, 1)),
    WindowCase(4, 4, 16, 4, kernel=(1, 1), input_offset=128),
    WindowCase(3, 5, 17, 3, kernel=(1, 1), input_offset=-128),
    WindowCase(6, 5, 5, 7, stride=(2, 2), pad=(0, 0), pad_after=(1, 1)),
    WindowCase(7, 7, 2, 1, kernel=(5, 5), pad=(2, 2), pad_after=(2, 2), input_offset=128),
    WindowCase(6, 9, 4, 6, kernel=(2, 3), stride=(1, 3), pad=(1, 0), pad_after=(0, 2), input_offset=1),
    WindowCase(7, 6, 3, 2, dilation=(2, 2), pad=(2, 2), pad_after=(2, 2), input_offset=5),
    WindowCase(8, 7, 2, 5, kernel=(3, 2), dilation=(2, 3), stride=(2, 1), pad=(1, 2), pad_after=(3, 1)),
    WindowCase(2, 2, 1, 3, kernel=(5, 5), pad=(2, 2), pad_after=(2, 2), input_offset=128),
    WindowCase(1, 9, 8, 2, kernel=(1, 4), pad=(0, 3), pad_after=(0, 0)),
    WindowCase(9, 1, 6, 9, kernel=(4, 1), pad=(0, 0), pad_after=(3, 0)),
    WindowCase(4, 3, 33, 2, input_offset=-1, pad=(1, 1), pad_after=(1, 1)),
    WindowCase(10, 5, 1, 8, kernel=(10, 4), stride=(2, 2), pad=(4, 1), pad_after=(5, 1)),
    WindowCase(1, 2, 31, 2, kernel=(1, 1), input_offset=-4),
    WindowCase(1, 1, 32, 3, kernel=(1, 1), input_offset=128),
    WindowCase(1, 3, 48, 2, kernel=(1, 1), input_offset=11),
    WindowCase(3, 1, 49, 1, kernel=(1, 1)),
    WindowCase(2, 2, 20, 2, kernel=(2, 2), input_offset=128),
    WindowCase(3, 3, 4, 6, pad=(1, 1), pad_after=(1, 1), input_offset=128, groups=2),
    WindowCase(3, 5, 6, 9, stride=(2, 1), pad=(1, 0), pad_after=(0, 1), input_offset=-3, groups=3),
    WindowCase(4, 4, 3, 3, pad=(1, 1), pad_after=(1, 1), input_offset=5, groups=3),
    WindowCase(1, 1, 34, 2, kernel=(1, 1), input_offset=1, groups=2),
    WindowCase(5, 4, 8, 20, kernel=(2, 2), dilation=(2, 1), pad=(1, 1), input_offset=128, groups=4),
    # Neighbouring windows that overlap inside the image.
    WindowCase(5, 8, 4, 3, pad=(1, 1), pad_after=(1, 1), input_offset=128),
    WindowCase(5, 11, 8, 2, stride=(1, 2), pad_after=(0, 1), input_offset=-5),
    # Strips of several windows: more rows than one takes, an odd last column, rows of weights a few at a time.
    WindowCase(7, 4, 16, 3, pad=(1, 1), pad_after=(1, 1), input_offset=128),
    WindowCase(9, 5, 16, 2, pad=(1, 1), pad_after=(1, 1), input_offset=-7),
    WindowCase(17, 1, 32, 1, kernel=(2, 1), pad=(1, 0), input_offset=3),
    WindowCase(19, 3, 16, 2, kernel=(2, 1), stride=(2, 1), pad=(1, 0), input_offset=128),
    WindowCase(12, 5, 16, 2, kernel=(1, 3), stride=(3, 2), pad=(2, 1), pad_after=(2, 1), input_offset=1),
    WindowCase(11, 3, 16, 2, dilation=(2, 1), pad=(2, 1), pad_after=(2, 1), input_offset=128),
    WindowCase(10, 3, 32, 4, pad=(1, 1), pad_after=(1, 1), input_offset=5, groups=2),
    WindowCase(3, 3, 64, 57, pad=(1, 1), pad_after=(1, 1), input_offset=128),
]

CONVOLUTIONS = every_kind(SHAPES)

DEPTHWISE = every_kind(
    [
        WindowCase(1, 1, 1, 1, kernel=(1, 1), input_offset=9),
        WindowCase(3, 3, 4, 4, pad=(1, 1), pad_after=(1, 1), input_offset=128),
        WindowCase(5, 6, 5, 5, pad=(1, 1), pad_after=(1, 1), input_offset=-3),
        WindowCase(4, 4, 15, 15, kernel=(2, 2), stride=(2, 2)),
        WindowCase(4, 4, 16, 16, kernel=(3, 3)),
        WindowCase(4, 5, 17, 17, pad=(1, 1), pad_after=(1, 1), input_offset=17),
        WindowCase(4, 4, 31, 31, pad=(1, 1), pad_after=(1, 1)),
        WindowCase(3, 3, 33, 33, kernel=(5, 5), pad=(2, 2), pad_after=(2, 2), input_offset=1),
        WindowCase(4, 3, 66, 66, pad=(1, 1), pad_after=(1, 1), input_offset=-128),
        WindowCase(4, 4, 3, 6, pad=(1, 1), pad_after=(1, 1), input_offset=2),
        WindowCase(5, 5, 20, 40, kernel=(2, 3), stride=(2, 2)),
        WindowCase(6, 7, 12, 12, dilation=(2, 2), pad=(2, 2), pad_after=(2, 2), input_offset=100),
        WindowCase(7, 6, 8, 8, kernel=(1, 7), pad=(0, 3), pad_after=(0, 3), input_offset=-9),
        WindowCase(2, 2, 32, 32, kernel=(2, 1), input_offset=128),
        WindowCase(2, 3, 34, 68, kernel=(2, 2), input_offset=3),
    ]
)

DENSE = [
    DenseCase(inputs, outputs, input_offset, bits, dtype, requantizations.FORMS[(inputs + i) % FORM_COUNT], offset)
    for i, (bits, offset, dtype) in enumerate(KINDS)
    for inputs, outputs, input_offset in (
        (1, 1, 0),
        (3, 2, 128),
        (4, 5, -1),
        (15, 3, 0),
        (16, 4, 77),
        (17, 1, -128),
        (31, 3, 5),
        (32, 2, 128),
        (33, 4, -2),
        (48, 1, 9),
        (130, 10, 1),
        (1029, 2, -7),
    )
]
