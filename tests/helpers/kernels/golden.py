"""What the kernels must give, written anew from the text of `stq_nn.h`: nothing here comes from stq_deploy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.int64]


def pack_row(weights: Sequence[int], bits: int, weight_offset: int) -> list[int]:
    """One row of fields in 32-bit words: element 2j at bit b*j, element 2j + 1 at bit 16 + b*j."""
    if bits == 1:
        return pack_bits(weights, weight_offset)
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


def pack_bits(weights: Sequence[int], weight_offset: int) -> list[int]:
    """One row of 1-bit weights: the larger weight sets bit j + weight_offset or (16 + j + weight_offset) mod 32."""
    words = [0] * -(-len(weights) // 32)
    for i, weight in enumerate(weights):
        if weight == 1:
            words[i // 32] |= 1 << ((i % 32 // 2 + 16 * (i % 2) + weight_offset) % 32)
    return words


def pack_rows(rows: Levels, bits: int, weight_offset: int) -> npt.NDArray[np.uint32]:
    """(rows, elements) -> words, row after row."""
    return np.array([word for row in rows for word in pack_row([int(w) for w in row], bits, weight_offset)], np.uint32)


def pack_trits(rows: Levels) -> npt.NDArray[np.uint32]:
    """(rows, elements) -> the least word whose 20 leading digits of base 3, as a fraction, are weight + 1 each."""
    flat = [int(w) + 1 for w in rows.reshape(-1)]
    flat += [1] * (-len(flat) % 20)
    words = []
    for start in range(0, len(flat), 20):
        fraction = sum(Fraction(digit, 3 ** (j + 1)) for j, digit in enumerate(flat[start : start + 20]))
        words.append(math.ceil(fraction * 2**32))
    return np.array(words, np.uint32)


def pack_gaps(rows: Levels, gap_bits: int) -> npt.NDArray[np.uint32]:
    """(rows, elements) -> a stream of bits as text, from the lowest bit of a word to the highest."""
    text, zeros = "", 0
    for weight in (int(w) for w in rows.reshape(-1)):
        if weight == 0:
            zeros += 1
            continue
        low = "".join(str(zeros >> i & 1) for i in range(gap_bits))
        text += "0" * (zeros >> gap_bits) + "1" + low + ("1" if weight < 0 else "0")
        zeros = 0
    text += "0" * (-len(text) % 32 + 32)
    return np.array([int(text[i : i + 32][::-1], 2) for i in range(0, len(text), 32)], np.uint32)


def convolve(
    x: Levels,
    weights: Levels,
    output_size: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    dilation: tuple[int, int],
) -> Levels:
    """Accumulators (OH, OW, O) of x (H, W, C), offset already added, and weights (KH, KW, C, O).

    Weights of fewer input channels (KH, KW, C / groups, O) mean as many groups as that takes.
    """
    groups = x.shape[2] // weights.shape[2]
    acc = np.zeros((*output_size, weights.shape[3]), np.int64)
    for oy, ox, ky, kx in np.ndindex(*output_size, *weights.shape[:2]):
        y = oy * stride[0] - pad[0] + ky * dilation[0]
        z = ox * stride[1] - pad[1] + kx * dilation[1]
        if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
            parts = zip(np.split(x[y, z], groups), np.split(weights[ky, kx], groups, axis=1), strict=True)
            acc[oy, ox] += np.concatenate([levels @ rows for levels, rows in parts])
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
    for place in np.ndindex(*output_size):
        out[place] = covered(x, place, window, stride, pad).max(axis=(0, 1))
    return out


def average_pool(
    x: Levels,
    multiple: int,
    output_size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
) -> Levels:
    """`multiple` times the mean of x, offset already added."""
    out = np.zeros((*output_size, x.shape[2]), np.int64)
    for *place, c in np.ndindex(*out.shape):
        levels = [int(level) for level in covered(x[:, :, c : c + 1], (place[0], place[1]), window, stride, pad).flat]
        scaled_mean = Fraction(sum(levels), len(levels)) * multiple
        assert scaled_mean.denominator == 1
        out[(*place, c)] = scaled_mean.numerator
    return out


def window_counts(
    size: tuple[int, int],
    output_size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
) -> Levels:
    """How many levels each window covers."""
    image = np.zeros((*size, 1), np.int64)
    counts = [covered(image, place, window, stride, pad).size for place in np.ndindex(*output_size)]
    return np.array(counts).reshape(output_size)


def covered(
    x: Levels, place: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> Levels:
    """The part of x (H, W, C) under the window of an output place."""
    inside = []
    for i in range(2):
        first = place[i] * stride[i] - pad[i]
        inside.append([n for n in range(first, first + window[i]) if 0 <= n < x.shape[i]])
    return x[inside[0]][:, inside[1]]


def elementwise(op: str, a: Levels, b: Levels, offsets: tuple[int, int], factors: tuple[int, int]) -> Levels:
    """Accumulators, in Python's integers."""
    x, y = (v.astype(object) + offset for v, offset in zip((a, b), offsets, strict=True))
    if op == "multiply":
        acc = x * y
    else:
        function = {"add": np.add, "maximum": np.maximum, "minimum": np.minimum}[op]
        acc = function(x * factors[0], y * factors[1])
    assert all(-(2**31) <= v < 2**31 for v in acc.flat)
    return acc.astype(np.int64)


def pad(x: Levels, before: tuple[int, int], after: tuple[int, int], level: int) -> Levels:
    height, width, channels = x.shape
    out = np.full((before[0] + height + after[0], before[1] + width + after[1], channels), level, np.int64)
    for y, z in np.ndindex(height, width):
        out[y + before[0], z + before[1]] = x[y, z]
    return out


def upsample(x: Levels, size: tuple[int, int]) -> Levels:
    out = np.zeros((x.shape[0] * size[0], x.shape[1] * size[1], x.shape[2]), np.int64)
    for y, z in np.ndindex(*out.shape[:2]):
        out[y, z] = x[y // size[0], z // size[1]]
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


def by_wide(acc: int, multiplier: int, offset: int, shift: int, minimum: int, maximum: int) -> int:
    return min(max((acc * multiplier + offset) // 2**shift, minimum), maximum)


def by_long(acc: int, factor: int, offset: int, shift: int, minimum: int, maximum: int) -> int:
    """`factor` in units of 2**-32; Python's // rounds down."""
    return min(max((acc * factor // 2**32 + offset) // 2**shift, minimum), maximum)


def by_rounding(acc: int, multiplier: int, offset: int, left: int, right: int, zero_point: int) -> int:
    """The level before clamping: a product rounded half up, then a quotient rounded half away from 0."""
    product = math.floor(Fraction((acc + offset) * 2**left * multiplier, 2**31) + Fraction(1, 2))
    quotient = math.floor(Fraction(abs(product), 2**right) + Fraction(1, 2))
    return (quotient if product >= 0 else -quotient) + zero_point


def by_packed(acc: int, multiplier: int, offset: int, right_shift: int, minimum: int, maximum: int) -> int:
    return min(max((acc * multiplier // 2**16 + offset) // 2**right_shift, minimum), maximum)
