"""Cases for the gather convolutions: shapes, levels and weights, and a function that runs one and compares it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from stq_deploy.program.kernels.gather_layout import GatherLayer
from stq_deploy.program.weights import WeightPacking
from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Argument
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.lane_cases import Integers, LanesCase, case_levels, case_sums, run_kernel, same
from tests.helpers.kernels.weighted_cases import WindowCase

INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class GatherCase(LanesCase):
    """A gather convolution.

    Attributes:
        lanes: bits of a lane, 8 or 16.
        packing: "fields", or how ternary weights are coded: "trits" or "gaps".
        gap_bits: of gaps.
    """

    lanes: int = 8
    packing: WeightPacking = "fields"
    gap_bits: int = 0

    def __str__(self) -> str:
        stored = "" if self.packing == "fields" else f" {self.packing} {self.gap_bits}"
        return f"{self.window} lanes={self.lanes} levels={self.levels} nonzero={self.nonzero} {self.fill}{stored}"

    @property
    def layer(self) -> GatherLayer:
        """Its geometry as the planner sees it."""
        window = self.window
        return GatherLayer(
            input_shape=(window.height, window.width, window.channels),
            output_shape=(*window.output_size, window.outputs),
            kernel=window.kernel,
            stride=window.stride,
            pad=window.pad,
            dilation=window.dilation,
            group_channels=window.channels // window.groups,
            weight_bits=window.bits,
            weight_offset=self.weight_offset,
            lane_bytes=self.lanes // 8,
            input_bytes=np.dtype(window.input_type).itemsize,
            packing=self.packing,
        )

    @property
    def may_replace(self) -> bool:
        """Whether the output may replace the input."""
        window = self.window
        levels = window.height * window.width * window.channels
        return self.layer.table_bytes >= levels * np.dtype(window.input_type).itemsize

    @property
    def name(self) -> str:
        """C name of the kernel."""
        width = arguments.WEIGHT_NAMES[self.window.bits] if self.packing == "fields" else self.packing
        return f"stq_gather{self.lanes}_{width}_s{np.dtype(self.window.input_type).itemsize * 8}"


def gather_weights(case: GatherCase, rng: np.random.Generator) -> Integers:
    """(KH, KW, C / groups, O). The second output channel, if any, is dead: all of its weights are the smaller code."""
    window, offset = case.window, case.weight_offset
    shape = (*window.kernel, window.channels // window.groups, window.outputs)
    if window.bits == 1:
        few, many = (-1, 1) if offset else (0, 1)
    elif window.bits == 4:
        few, many = -8, 7
    else:
        few, many = -offset, 3 - offset - (offset == 1)
    if case.fill == "plus":
        return np.full(shape, many)
    if case.fill == "minus":
        return np.full(shape, few)
    chosen = rng.random(shape) < case.nonzero
    if window.bits == 1:
        weights = np.where(chosen, many, few)
    else:
        signed = rng.choice([w for w in range(few, many + 1) if w], shape)
        weights = np.where(chosen, signed, 0)
    if window.outputs > 1:
        weights[..., 1] = few if window.bits == 1 else 0
    return weights


def packed_weights(case: GatherCase, weights: Integers) -> Argument:
    """The kernel's argument for weights (KH, KW, C / groups, O)."""
    rows = weights.reshape(-1, weights.shape[3]).T
    if case.packing == "trits":
        return arguments.coded_weights(golden.pack_trits(rows))
    if case.packing == "gaps":
        return arguments.coded_weights(golden.pack_gaps(rows, case.gap_bits), case.gap_bits)
    return golden.pack_rows(rows, case.window.bits, case.weight_offset)


def run_gather(library: KernelLibrary, case: GatherCase, *, in_place: bool = False) -> None:
    """Run the kernel and compare every output with NumPy's direct convolution.

    Args:
        in_place: whether the output replaces the input.
    """
    rng = case.rng
    run_weights(library, case, gather_weights(case, rng), rng, in_place=in_place)


def run_weights(
    library: KernelLibrary, case: GatherCase, weights: Integers, rng: np.random.Generator, *, in_place: bool = False
) -> None:
    """`run_gather` with given weights (KH, KW, C / groups, O)."""
    x = case_levels(case, rng)
    acc = case_sums(case, x, weights)
    assert acc.min() >= INT16.min, "a case outside the contract"
    assert acc.max() <= INT16.max, "a case outside the contract"
    run_kernel(
        library, case.name, case, x, weights.shape[:3], packed_weights(case, weights), acc, rng, in_place=in_place
    )


def run_every_count(library: KernelLibrary) -> None:
    """Lists of every length around the edges of blocks, from none to all of 72 (decoded by codes) or 70 (one by one).

    The blocks have 17, 8, 33, 81 and 1 entries, and for halfwords all.
    """
    for channels in (70, 72):
        plus = np.arange(channels)[:, None] < np.arange(channels + 1)
        weights = np.concatenate([plus * 2 - 1, plus * 1, plus * -1], axis=1)[None, None]
        for levels, lanes in (((0, 15), 8), ((0, 31), 8), ((0, 7), 8), ((0, 3), 8), ((-128, 127), 8), ((0, 127), 16)):
            window = WindowCase(3, 3, channels, weights.shape[3], kernel=(1, 1), form="keep_s16", weight_offset=1)
            run_weights(library, GatherCase(window, levels, lanes=lanes), weights, np.random.default_rng(channels))


def run_every_code(library: KernelLibrary) -> None:
    """Every code of four ternary weights at each of the eight places of two words, between random ones."""
    rng = np.random.default_rng(5)
    codes = np.array(list(product((-1, 0, 1), repeat=4))).T
    rows = []
    for first in (0, 1, 8, 9, 16, 17, 24, 25):
        row = rng.integers(-1, 2, (32, codes.shape[1]))
        row[first : first + 8 : 2] = codes
        rows.append(row)
    weights = np.concatenate(rows, axis=1)[None, None]
    for lanes in (8, 16):
        window = WindowCase(2, 9, 32, weights.shape[3], kernel=(1, 1), form="keep_s16", weight_offset=1)
        run_weights(library, GatherCase(window, lanes=lanes), weights, rng)


HEIGHTS = [same(height, 5, 8, 3, 3) for height in range(1, 18)]
"""Every height modulo 8, and images that are smaller than the lanes."""

WIDTHS = [same(4, width, 8, 2, 3) for width in range(1, 10)]
"""Every width modulo the units that are summed at once."""

WINDOWS = [
    WindowCase(1, 1, 1, 1, kernel=(1, 1)),
    WindowCase(3, 3, 1, 2),
    WindowCase(9, 7, 3, 3, pad=(1, 1), pad_after=(1, 1)),
    WindowCase(25, 5, 16, 4, kernel=(1, 1)),
    WindowCase(8, 8, 24, 5, kernel=(1, 1)),
    WindowCase(5, 3, 31, 2, kernel=(1, 1)),
    WindowCase(9, 9, 8, 3, kernel=(1, 1), stride=(2, 2)),
    WindowCase(6, 7, 8, 3, kernel=(1, 1), pad=(1, 1), pad_after=(1, 2)),
    same(16, 16, 8, 3, 5),
    same(17, 10, 5, 2, 3, 2),
    same(16, 12, 16, 2, 3, 2),
    WindowCase(11, 13, 8, 2, kernel=(2, 2), stride=(2, 2)),
    WindowCase(10, 9, 4, 2, kernel=(2, 3), stride=(1, 3), pad=(1, 0), pad_after=(0, 2)),
    WindowCase(7, 14, 3, 2, kernel=(3, 2), stride=(3, 4), pad=(2, 1), pad_after=(2, 1)),
    WindowCase(13, 11, 8, 2, dilation=(2, 2), pad=(2, 2), pad_after=(2, 2)),
    WindowCase(14, 13, 8, 2, dilation=(2, 3), stride=(2, 2), pad=(2, 3), pad_after=(2, 3)),
    WindowCase(12, 12, 4, 2, dilation=(4, 2), stride=(2, 4), pad=(4, 2), pad_after=(4, 2)),
    WindowCase(49, 10, 1, 4, kernel=(10, 4), stride=(2, 2), pad=(4, 1), pad_after=(5, 1)),
    WindowCase(9, 1, 6, 3, kernel=(4, 1), pad_after=(3, 0)),
    WindowCase(1, 9, 8, 2, kernel=(1, 4), pad=(0, 3)),
    WindowCase(2, 2, 1, 3, kernel=(5, 5), pad=(2, 2), pad_after=(2, 2)),
    WindowCase(9, 6, 32, 6, pad=(1, 1), pad_after=(1, 1), groups=2),
    WindowCase(5, 6, 6, 9, kernel=(2, 2), stride=(2, 1), pad=(1, 0), pad_after=(0, 1), groups=3),
]

KINDS = [
    (8, 1, 1, "int8", (0, 15), 0),
    (8, 1, 0, "int8", (-128, -97), 128),
    (8, 2, 1, "int8", (0, 15), 0),
    (8, 2, 1, "int8", (-8, 7), 0),
    (8, 2, 1, "int8", (-5, 26), -3),
    (8, 2, 2, "int8", (0, 3), 0),
    (8, 2, 1, "int8", (0, 1), 0),
    (8, 2, 1, "int8", (-128, 127), 100),
    (16, 1, 1, "int8", (-128, 127), 128),
    (16, 2, 1, "int8", (-100, 127), -7),
    (16, 1, 0, "int16", (-90, 80), 5),
    (16, 2, 1, "int16", (-90, 130), 0),
    (16, 2, 2, "int16", (-25, 25), 10),
    (16, 4, 8, "int8", (-7, 8), -3),
]
"""Lanes, width and offset of the weights, input type, levels, input offset. Real 0 is a level in each."""


def every_kind(windows: list[WindowCase], apart: int = 1) -> list[GatherCase]:
    """Each window for each kind, or for every `apart`-th; forms of requantization and shares of nonzeros in turn."""
    forms, shares = requantizations.FORMS, (0.1, 0.5, 0.9)
    cases = []
    for i, window in enumerate(windows):
        for j, (lanes, bits, weight_offset, dtype, levels, input_offset) in enumerate(KINDS):
            if (i + j) % apart:
                continue
            form = "packed" if (i + j) // apart % 2 else forms[(i + j) // 2 % len(forms)]
            made = replace(
                window, bits=bits, weight_offset=weight_offset, input_type=dtype, input_offset=input_offset, form=form
            )
            case = GatherCase(made, levels, shares[(i + j) % 3], lanes=lanes)
            cases.append(case)
            if (bits, weight_offset) == (2, 1):
                cases.append(coded(case, i + j))
    return cases


def coded(case: GatherCase, turn: int) -> GatherCase:
    """A case of ternary weights with coded ones: trits, or gaps of any number of low bits, in turn."""
    packing: WeightPacking = "gaps" if turn % 3 else "trits"
    return replace(case, packing=packing, gap_bits=turn % 4 if packing == "gaps" else 0)


STEEPEST = {(1, 1): (1, 1), (2, 1): (1, 1), (2, 2): (1, 2), (4, 8): (7, 8)}
"""Bits and offset of the weights -> magnitudes of the largest and of the smallest weight."""


def worst(levels: tuple[int, int], lanes: int, bits: int, weight_offset: int, fill: str, **changed: int) -> GatherCase:
    """As many inputs at the largest level as keep the sum within int16, and one block more than full ones."""
    largest = levels[1] + changed.get("input_offset", 0)
    steepest = STEEPEST[bits, weight_offset][fill == "minus"]
    inputs = INT16.max // (largest * steepest)
    window = WindowCase(
        3, 3, inputs, 2, kernel=(1, 1), bits=bits, weight_offset=weight_offset, form="keep_s16", **changed
    )  # fmt: skip
    return GatherCase(window, levels, fill=fill, lanes=lanes)


WORST = [
    worst(levels, lanes, bits, weight_offset, fill)
    for fill in ("plus", "minus")
    for levels, lanes, bits, weight_offset in (
        ((0, 15), 8, 2, 1),
        ((0, 14), 8, 2, 1),
        ((0, 31), 8, 2, 1),
        ((0, 3), 8, 2, 1),
        ((0, 15), 8, 2, 2),
        ((0, 15), 8, 1, 1),
        ((0, 127), 8, 2, 1),
        ((0, 127), 16, 2, 1),
        ((0, 127), 16, 1, 1),
        ((0, 127), 16, 4, 8),
    )
]
"""Sums that end just below 2^15, every block of bytes full."""

CODED_WORST = [coded(case, i) for i, case in enumerate(WORST) if (case.window.bits, case.weight_offset) == (2, 1)]

FIRST_LAYERS = [
    GatherCase(
        replace(same(height, width, channels, 5, kernel, stride), bits=4, weight_offset=8, form=form),
        lanes=16,
        levels=(-128, 127),
    )
    for height, width, channels, kernel, stride, form in (
        (32, 32, 1, 5, 1, "packed"),
        (17, 9, 1, 5, 1, "threshold"),
        (28, 28, 1, 3, 2, "packed"),
        (12, 20, 3, 3, 1, "multiplier"),
    )
]
"""First layers: 4-bit weights on pixels of 8 bits."""

EVERY_CASE = [
    *every_kind(HEIGHTS, 4), *every_kind(WIDTHS, 4), *every_kind(WINDOWS, 3), *WORST, *CODED_WORST,
    *FIRST_LAYERS,
]  # fmt: skip
