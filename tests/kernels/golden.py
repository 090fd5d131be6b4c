"""What the kernels must give, written anew from the text of `stq_nn.h`: nothing here comes from stq_deploy."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.int64]


def pack_row(weights: Sequence[int], bits: int, weight_offset: int) -> list[int]:
    """One row of fields in 32-bit words: element 2j at bit b*j, element 2j + 1 at bit 16 + b*j."""
    per_word = 32 // bits
    padded = [*weights, *[0] * (-len(weights) % per_word)]
    words = []
    for start in range(0, len(padded), per_word):
        word = 0
        for element in range(per_word):
            field = (padded[start + element] + weight_offset) % (1 << bits)
            word |= field << (bits * (element // 2) + 16 * (element % 2))
        words.append(word)
    return words


def pack_rows(rows: Levels, bits: int, weight_offset: int) -> npt.NDArray[np.uint32]:
    """(rows, elements) -> words, row after row."""
    return np.array([word for row in rows for word in pack_row([int(w) for w in row], bits, weight_offset)], np.uint32)


def convolve(
    x: Levels,
    weights: Levels,
    output_size: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    dilation: tuple[int, int],
) -> Levels:
    """Accumulators (OH, OW, O) of x (H, W, C), offset already added, and weights (KH, KW, C, O)."""
    acc = np.zeros((*output_size, weights.shape[3]), np.int64)
    for oy, ox, ky, kx in np.ndindex(*output_size, *weights.shape[:2]):
        y = oy * stride[0] - pad[0] + ky * dilation[0]
        z = ox * stride[1] - pad[1] + kx * dilation[1]
        if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
            acc[oy, ox] += x[y, z] @ weights[ky, kx]
    return acc


def depthwise_weights(weights: Levels) -> Levels:
    """(KH, KW, C, M) depthwise weights as those of a full convolution, (KH, KW, C, C * M), zero elsewhere."""
    height, width, channels, multiplier = weights.shape
    full = np.zeros((height, width, channels, channels * multiplier), np.int64)
    for c in range(channels):
        full[:, :, c, c * multiplier : (c + 1) * multiplier] = weights[:, :, c]
    return full


def max_pool(
    x: Levels, output_size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> Levels:
    out = np.zeros((*output_size, x.shape[2]), np.int64)
    for oy, ox in np.ndindex(*output_size):
        rows = [y for y in range(oy * stride[0] - pad[0], oy * stride[0] - pad[0] + window[0]) if 0 <= y < x.shape[0]]
        columns = [
            z for z in range(ox * stride[1] - pad[1], ox * stride[1] - pad[1] + window[1]) if 0 <= z < x.shape[1]
        ]
        out[oy, ox] = x[rows][:, columns].max(axis=(0, 1))
    return out


def by_multiplier(
    acc: int, multiplier: int, offset: int, left_shift: int, right_shift: int, minimum: int, maximum: int
) -> int:
    high = ((acc << left_shift) * multiplier) >> 32
    return min(max((high + offset) >> right_shift, minimum), maximum)


def by_thresholds(acc: int, thresholds: Sequence[int], sign: int, minimum: int) -> int:
    return minimum + sum(sign * acc >= t for t in thresholds)


def by_shift(acc: int, offset: int, shift: int, zero_point: int, minimum: int, maximum: int) -> int:
    """Python rounds fractions half to even."""
    return min(max(round(Fraction(acc + offset, 2**shift)) + zero_point, minimum), maximum)
