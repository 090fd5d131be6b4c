"""Cases for the kernels that move levels, and functions that run one and compare every output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK

TYPES = ("int8", "int16", "int32")
Image = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """An input of a concatenation: type, levels of a row, offset, factor."""

    dtype: str
    elements: int
    offset: int = 0
    factor: int = 1


def levels_of(shape: tuple[int, ...], dtype: str) -> npt.NDArray[np.int64]:
    """Random levels of the whole type."""
    rng = np.random.default_rng(sum(shape))
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape)


def run_pad(library: KernelLibrary, shape: Image, before: Pair, after: Pair, dtype: str, level: int) -> None:
    x = levels_of(shape, dtype)
    expected = golden.pad(x, before, after, level)
    output = np.zeros(expected.shape, dtype)
    status = library.call(
        "stq_pad", arguments.pad_params(dtype, before, level), arguments.dims(*shape), x.astype(dtype),
        arguments.dims(*expected.shape), output,
    )  # fmt: skip
    assert status == OK
    np.testing.assert_array_equal(output, expected)


def run_crop(
    library: KernelLibrary, shape: Image, before: Pair, size: Pair, dtype: str, *, in_place: bool = False
) -> None:
    x = levels_of(shape, dtype)
    expected = x[before[0] : before[0] + size[0], before[1] : before[1] + size[1]]
    levels = x.astype(dtype)
    output = levels if in_place else np.zeros(expected.shape, dtype)
    status = library.call(
        "stq_crop", arguments.crop_params(dtype, before), arguments.dims(*shape), levels,
        arguments.dims(*expected.shape), output,
    )  # fmt: skip
    assert status == OK
    np.testing.assert_array_equal(output.reshape(-1)[: expected.size], expected.reshape(-1))


def run_upsample(library: KernelLibrary, shape: Image, size: Pair, dtype: str) -> None:
    x = levels_of(shape, dtype)
    expected = golden.upsample(x, size)
    output = np.zeros(expected.shape, dtype)
    params = arguments.upsample_params(dtype, size)
    assert library.call("stq_upsample", params, arguments.dims(*shape), x.astype(dtype), output) == OK
    np.testing.assert_array_equal(output, expected)


def run_concatenate(
    library: KernelLibrary, rows: int, parts: tuple[Part, ...], dtype: str, output_offset: int = 0
) -> None:
    """Levels are drawn such that every output level fits `dtype`, and every step int32."""
    rng = np.random.default_rng(rows)
    info = np.iinfo(dtype)
    drawn = []
    for part in parts:
        limits = np.iinfo(part.dtype)
        least, most = max(info.min - output_offset, -(2**31)), min(info.max - output_offset, 2**31 - 1)
        low = max(limits.min, -(-least // part.factor) - part.offset)
        high = min(limits.max, most // part.factor - part.offset)
        levels = rng.integers(low, high + 1, (rows, part.elements))
        levels[0, 0], levels[-1, -1] = low, high
        drawn.append(levels)
    output = np.zeros((rows, sum(part.elements for part in parts)), dtype)
    status = library.call(
        "stq_concatenate",
        arguments.concatenate_params(len(parts), rows, dtype, output_offset),
        arguments.concatenate_parts(
            [(x.astype(p.dtype), p.elements, p.offset, p.factor) for x, p in zip(drawn, parts, strict=True)]
        ),
        output,
    )
    assert status == OK
    scaled = [(x + p.offset) * p.factor + output_offset for x, p in zip(drawn, parts, strict=True)]
    np.testing.assert_array_equal(output, np.concatenate(scaled, axis=1))


def run_scatter(library: KernelLibrary, elements: int, places: list[int], dtype: str) -> None:
    drawn, constants = levels_of((len(places),), dtype), levels_of((elements,), dtype)
    expected = constants.copy()
    expected[places] = drawn
    output = np.full(elements + 1, 7, dtype)
    output[: len(places)] = drawn
    status = library.call(
        "stq_scatter", arguments.scatter_params(dtype, len(places), elements), np.array(places, np.int32),
        constants.astype(dtype), output,
    )  # fmt: skip
    assert status == OK
    np.testing.assert_array_equal(output, [*expected, 7])


SCATTERS: list[tuple[int, list[int]]] = [
    (1, [0]), (2, [0]), (2, [1]), (3, [1]), (5, [0, 1, 2, 3, 4]), (5, [0, 4]), (9, [3, 4, 8]), (300, [0, 131, 299]),
]  # fmt: skip
"""Elements of an output, and the places of those that were computed."""

PADS: list[tuple[Image, Pair, Pair]] = [
    ((1, 1, 1), (0, 0), (0, 0)),
    ((1, 1, 1), (1, 1), (1, 1)),
    ((3, 4, 3), (0, 1), (2, 0)),
    ((3, 4, 5), (2, 0), (0, 3)),
    ((2, 5, 4), (1, 2), (0, 0)),
    ((4, 1, 9), (0, 0), (1, 1)),
    ((5, 3, 16), (1, 1), (1, 1)),
]

CROPS: list[tuple[Image, Pair, Pair]] = [
    ((1, 1, 1), (0, 0), (1, 1)),
    ((4, 5, 1), (1, 1), (2, 3)),
    ((4, 5, 3), (0, 0), (4, 5)),
    ((5, 4, 7), (2, 0), (3, 4)),
    ((5, 7, 2), (0, 3), (5, 4)),
    ((6, 6, 16), (1, 2), (1, 1)),
    ((3, 9, 5), (0, 0), (2, 8)),
]

UPSAMPLES: list[tuple[Image, Pair]] = [
    ((1, 1, 1), (1, 1)),
    ((2, 3, 1), (2, 2)),
    ((3, 2, 3), (1, 3)),
    ((2, 2, 5), (3, 1)),
    ((3, 3, 8), (2, 4)),
]

CONCATENATIONS: list[tuple[int, tuple[Part, ...], str, int]] = [
    (1, (Part("int8", 1), Part("int8", 1)), "int8", 0),
    (5, (Part("int8", 3), Part("int8", 4), Part("int8", 9)), "int8", 0),
    (4, (Part("int8", 7, 128), Part("int8", 2, 128)), "int8", -128),
    (3, (Part("int16", 5), Part("int16", 1)), "int16", 0),
    (2, (Part("int32", 3), Part("int32", 6)), "int32", 0),
    (3, (Part("int8", 5, 3, 2), Part("int8", 8, -4, 3)), "int8", 5),
    (2, (Part("int8", 9, 128, 100), Part("int16", 6, 0, 7), Part("int8", 1)), "int16", -1000),
    (2, (Part("int8", 4, 0, 1 << 20), Part("int16", 3, 5, 999), Part("int32", 5, -1, 1)), "int32", 12),
    (3, (Part("int16", 4, 300, 1), Part("int32", 4, -100_000, 1)), "int8", 0),
    (2, (Part("int32", 2, 1 - 2**31, 500), Part("int32", 3, 2**31 - 1, 77)), "int32", -7),
]
