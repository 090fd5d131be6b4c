"""Cases for the elementwise kernels, and functions that run one and compare every output."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK, scratch_of

TYPES = ("int8", "int16", "int32")
OPS = ("add", "maximum", "minimum", "multiply")
Onto = Literal["new", "a", "b"]


@dataclass(frozen=True)
class ElementwiseCase:
    """Pairs are those of the inputs a and b; `bound` limits the accumulator's magnitude."""

    op: str
    types: tuple[str, str]
    pixels: int
    channels: int
    offsets: tuple[int, int] = (0, 0)
    factors: tuple[int, int] = (1, 1)
    bound: int = 2**31 - 1
    form: str = "multiplier"

    def __str__(self) -> str:
        return "-".join(str(v).replace(" ", "") for v in self.__dict__.values())


@dataclass(frozen=True)
class RescaleCase:
    dtype: str
    pixels: int
    channels: int
    offset: int = 0
    form: str = "multiplier"

    def __str__(self) -> str:
        return "-".join(str(v) for v in self.__dict__.values())


def run_elementwise(library: KernelLibrary, case: ElementwiseCase, onto: Onto = "new") -> None:
    """`onto`: whose memory the output takes."""
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    shape = (case.pixels, case.channels)
    # A product of two terms, or a sum of two, stays within the bound if each term does its share.
    reach = int(case.bound**0.5) if case.op == "multiply" else case.bound // 2
    factors = (1, 1) if case.op == "multiply" else case.factors
    a, b = (
        _levels(rng, shape, dtype, offset, reach // abs(factor))
        for dtype, offset, factor in zip(case.types, case.offsets, factors, strict=True)
    )
    acc = golden.elementwise(case.op, a, b, case.offsets, case.factors)
    requantization = requantizations.make(case.form, acc, rng)
    inputs = {"a": a.astype(case.types[0]), "b": b.astype(case.types[1])}
    output = inputs[onto] if onto in inputs else np.zeros(shape, requantization.dtype)
    scratch = scratch_of(library.call(f"stq_{case.op}_get_buffer_size", case.channels), rng)
    status = library.call(
        f"stq_{case.op}",
        arguments.context(scratch),
        arguments.elementwise_params(case.types, case.offsets, case.factors),
        requantization.struct,
        *shape,
        inputs["a"],
        inputs["b"],
        output,
    )
    assert status == OK
    written = output.reshape(-1).view(requantization.dtype)[: acc.size]
    np.testing.assert_array_equal(written, requantization.expected.reshape(-1))


def run_rescale(library: KernelLibrary, case: RescaleCase, *, in_place: bool = False) -> None:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    x = _levels(rng, (case.pixels, case.channels), case.dtype, case.offset, 2**31 - 1)
    requantization = requantizations.make(case.form, x + case.offset, rng)
    levels = x.astype(case.dtype)
    output = levels if in_place else np.zeros(x.shape, requantization.dtype)
    scratch = scratch_of(library.call("stq_rescale_get_buffer_size", case.channels), rng)
    status = library.call(
        "stq_rescale",
        arguments.context(scratch),
        arguments.rescale_params(case.dtype, case.offset),
        requantization.struct,
        *x.shape,
        levels,
        output,
    )
    assert status == OK
    written = output.reshape(-1).view(requantization.dtype)[: x.size]
    np.testing.assert_array_equal(written, requantization.expected.reshape(-1))


def _levels(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, offset: int, reach: int
) -> npt.NDArray[np.int64]:
    """Levels of `dtype`, the extremes among them, with |level + offset| <= reach."""
    info = np.iinfo(dtype)
    low, high = max(info.min, -reach - offset), min(info.max, reach - offset)
    levels = rng.integers(low, high + 1, shape)
    ends = levels.reshape(-1)[:: max(1, levels.size // 3)]
    ends[:] = rng.choice([low, high], len(ends))
    return levels


SIZES = [(1, 1), (7, 1), (3, 2), (2, 3), (3, 4), (1, 5), (2, 7), (3, 8), (1, 9), (2, 63), (2, 64), (1, 65), (1, 200)]

ELEMENTWISE = (
    [
        ElementwiseCase(op, types, *SIZES[(i + j) % len(SIZES)], offsets=offsets, factors=factors, form=form)
        for i, op in enumerate(OPS)
        for j, (types, (offsets, factors)) in enumerate(
            product(product(TYPES, TYPES), [((128, -5), (1, 1)), ((-3, 7), (5, -2)), ((0, 0), (-1, 70_000))])
        )
        for form in (requantizations.FORMS[(i + j) % len(requantizations.FORMS)],)
    ]
    + [
        # Levels by the ends of int32: level times factor leaves it, (level + offset) times factor does not.
        ElementwiseCase(op, ("int32", "int32"), 2, 9, offsets, factors, form="keep_s32")
        for op in OPS
        for offsets, factors in [((1 - 2**31, 2**31 - 1), (1000, -999)), ((0, 0), (1, -1)), ((2**30, -(2**30)), (1, 1))]
    ]
    + [
        # Factors at the ends of int16, and one beyond.
        ElementwiseCase("add", ("int8", "int8"), 2, 11, (-5, 128), factors, form="keep_s32")
        for factors in [(-(1 << 15), (1 << 15) - 1), (1 << 15, 1), (1, -(1 << 15) - 1)]
    ]
    + [
        ElementwiseCase(op, ("int8", "int8"), 3, 5, (2, -1), (3, 4), bound=10_000, form=form)
        for op in OPS
        for form in ("table", "shared_table", "shift", "threshold")
    ]
)

ELEMENTWISE_IN_PLACE: list[tuple[ElementwiseCase, Onto]] = [
    (ElementwiseCase(op, ("int8", "int8"), 9, 7, (3, 4), (2, 5)), "a") for op in OPS
] + [
    (ElementwiseCase("add", ("int16", "int8"), 5, 66, form="multiplier"), "a"),
    (ElementwiseCase("add", ("int8", "int32"), 5, 66, form="multiplier_s16"), "b"),
    (ElementwiseCase("maximum", ("int32", "int32"), 5, 9, form="multiplier_s32"), "b"),
]

RESCALES = [
    RescaleCase(dtype, *SIZES[(i + j) % len(SIZES)], offset=offset, form=form)
    for i, dtype in enumerate(TYPES)
    for j, (offset, form) in enumerate(product((0, 128, -77), requantizations.FORMS))
]
