"""Cases for the depthwise convolutions on lanes of bytes, and a function that runs one and compares it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.lane_cases import Integers, LanesCase, case_levels, case_sums, run_kernel, same
from tests.helpers.kernels.weighted_cases import WindowCase

FULL_BYTE = 255


@dataclass(frozen=True)
class DepthwiseCase(LanesCase):
    """A depthwise convolution of weights -1, 0 and 1 on levels of few bits."""

    @property
    def name(self) -> str:
        """C name of the kernel."""
        return f"stq_depthwise8_{arguments.WEIGHT_NAMES[self.window.bits]}_s8"

    @property
    def full(self) -> int:
        """The smallest 2^n - 1 that no level less the smallest exceeds."""
        return (1 << (self.levels[1] - self.levels[0]).bit_length()) - 1


def depthwise_weights(case: DepthwiseCase, rng: np.random.Generator) -> Integers:
    """(KH, KW, C). The second channel, if any, is dead; of every channel, the sums stay within a byte."""
    window = case.window
    shape = (*window.kernel, window.channels)
    low = -case.weight_offset if window.bits == 1 else -1
    if case.fill != "random":
        return np.full(shape, {"plus": 1, "minus": low, "dead": 0}[case.fill])
    if window.bits == 1:
        return np.where(rng.random(shape) < case.nonzero, 1, low)
    weights = np.where(rng.random(shape) < case.nonzero, rng.choice([-1, 1], shape), 0)
    weights[..., 1:2] = 0
    # More than fit a byte: the later ones are dropped.
    kept = np.cumsum(np.abs(weights).reshape(-1, window.channels), axis=0).reshape(shape) * case.full <= FULL_BYTE
    return weights * kept


def run_depthwise8(library: KernelLibrary, case: DepthwiseCase) -> None:
    """Run the kernel and compare every output with NumPy's direct convolution."""
    rng = case.rng
    weights = depthwise_weights(case, rng)
    assert np.abs(weights).sum(axis=(0, 1)).max() * case.full <= FULL_BYTE, "a case outside the contract"
    x = case_levels(case, rng)
    acc = case_sums(case, x, golden.depthwise_weights(weights[..., None]))
    packed = golden.pack_rows(weights.reshape(-1, case.window.channels), case.window.bits, case.weight_offset)
    run_kernel(library, case.name, case, x, weights.shape, packed, acc, rng)


def channels(height: int, width: int, count: int, kernel: int = 3, stride: int = 1) -> WindowCase:
    """A square window with "same" padding."""
    return same(height, width, count, count, kernel, stride)


HEIGHTS = [channels(height, 5, 8) for height in range(1, 10)]
WIDTHS = [channels(4, width, 5) for width in range(1, 10)]
"""Every width modulo the pixels that are summed at once."""
CHANNELS = [channels(5, 6, count) for count in (1, 2, 3, 4, 5, 7, 16, 17, 33)]
"""Whole quads and parts of one."""

WINDOWS = [
    WindowCase(1, 1, 4, 4, kernel=(1, 1)),
    WindowCase(6, 7, 8, 8, kernel=(1, 1), pad=(1, 1), pad_after=(1, 2)),
    WindowCase(9, 7, 6, 6),
    channels(34, 33, 4),
    channels(70, 40, 5),
    channels(17, 10, 5, 3, 2),
    channels(40, 90, 4, 3, 2),
    channels(12, 13, 8, 4),
    WindowCase(11, 13, 8, 8, kernel=(2, 2), stride=(2, 3)),
    WindowCase(10, 9, 4, 4, kernel=(2, 3), stride=(1, 3), pad=(1, 0), pad_after=(0, 2)),
    WindowCase(13, 11, 8, 8, dilation=(2, 2), pad=(2, 2), pad_after=(2, 2)),
    WindowCase(14, 13, 8, 8, dilation=(2, 3), stride=(2, 2), pad=(2, 3), pad_after=(2, 3)),
    WindowCase(9, 1, 6, 6, kernel=(4, 1), pad_after=(3, 0)),
    WindowCase(1, 9, 8, 8, kernel=(1, 4), pad=(0, 3)),
    WindowCase(2, 2, 4, 4, kernel=(5, 3), pad=(2, 1), pad_after=(2, 1)),
    WindowCase(3, 1100, 4, 4, pad=(1, 1), pad_after=(1, 1)),
]
"""Windows that reach beyond the image, images of several bands, and one whose single row exceeds a plane."""

KINDS = [
    (2, 1, (0, 15), 0),
    (2, 1, (-8, 7), 0),
    (2, 1, (-5, 9), -3),
    (2, 1, (-128, -113), 120),
    (1, 1, (0, 7), 0),
    (1, 0, (-128, -113), 128),
    (2, 1, (0, 1), 0),
    (2, 1, (0, 2), 0),
    (2, 1, (-20, 50), 1),
]
"""Width and offset of the weights, levels, input offset. Real 0 is a level in each."""


def every_kind(windows: list[WindowCase], apart: int = 1) -> list[DepthwiseCase]:
    """Each window for each kind, or for every `apart`-th; forms of requantization and shares of nonzeros in turn."""
    forms = ("table", "keep_s16", "multiplier", "shared_table", *requantizations.FORMS)
    cases = []
    for i, window in enumerate(windows):
        for j, (bits, weight_offset, levels, input_offset) in enumerate(KINDS):
            taps = window.kernel[0] * window.kernel[1]
            if (i + j) % apart or (bits == 1 and taps * (levels[1] - levels[0]) > FULL_BYTE):
                continue
            made = replace(
                window, bits=bits, weight_offset=weight_offset, input_offset=input_offset,
                form=forms[(i + j) // apart % len(forms)],
            )  # fmt: skip
            cases.append(DepthwiseCase(made, levels, (0.1, 0.5, 0.9)[(i + j) % 3]))
    return cases


WORST = [
    DepthwiseCase(
        WindowCase(
            5, 6, 6, 6, (rows, columns), pad=(rows // 2, columns // 2), pad_after=(rows // 2, columns // 2),
            input_offset=offset, bits=bits, form=form, weight_offset=1,
        ),
        levels, fill=fill,
    )
    for form in ("keep_s16", "table", "multiplier")
    for fill in ("plus", "minus", "dead")
    for bits, levels, offset, rows, columns in (
        (2, (0, 15), 0, 3, 3),
        (2, (0, 15), 0, 1, 17),
        (2, (0, 3), 0, 5, 17),
        (2, (-4, 10), 0, 1, 17),
        (1, (0, 1), 0, 15, 17),
        (2, (-128, 127), 128, 1, 1),
    )
    if bits == 2 or fill != "dead"
]  # fmt: skip
"""Every weight plus, or minus, at the largest level; among them sums that fill a byte."""

EVERY_CASE = [
    *every_kind(HEIGHTS, 3), *every_kind(WIDTHS, 2), *every_kind(CHANNELS, 2), *every_kind(WINDOWS, 3), *WORST,
]  # fmt: skip
