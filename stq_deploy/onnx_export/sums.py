"""Sums of products, exact although ONNX's convolutions and matrix products are of float32.

Every partial sum is an integer, whatever the order of the additions. If none can reach 2**24, float32 holds each one,
and the sum is exact. Where weights or levels are too wide for that, they are split into digits, and each digit's sum is
exact. The sums of the digits are joined as int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network.tensor import TensorType
from stq_deploy.onnx_export.builder import GraphBuilder

_EXACT = 2**24
_BYTE = 256

Integers = npt.NDArray[np.int64]
Product = Callable[[str, Integers, int], str]
"""(float32 levels, weights, their bits) -> the name of the float32 sum."""


def exact_sum(
    graph: GraphBuilder, x: str, spec: TensorType, weights: Integers, bits: int, output_axes: int, product: Product
) -> str:
    """The int64 sum of `(x - zero point) * weights`.

    Args:
        x: int64 levels of type `spec`.
        weights: the last `output_axes` axes count the outputs.
        product: adds the convolution or matrix product.
    """
    centred = graph.sum(x, -spec.zero_point)
    low, high = spec.minimum - spec.zero_point, spec.maximum - spec.zero_point
    sums: list[str] = []
    for digit, largest, factor in _level_digits(graph, centred, low, high):
        floats = graph.cast(digit, np.float32)
        for part, width, weight_factor in _weight_digits(weights, bits, largest, output_axes):
            total = graph.cast(product(floats, part, width), np.int64)
            sums.append(graph.times(total, factor * weight_factor))
    total = sums[0]
    for other in sums[1:]:
        total = graph.add("Add", [total, other])
    return total


def _level_digits(graph: GraphBuilder, x: str, low: int, high: int) -> Iterator[tuple[str, int, int]]:
    """(digit, its largest magnitude, its factor): the levels themselves, or the bytes of those of over 9 bits."""
    factor = 1
    while max(-low, high) >= 2 * _BYTE:
        yield graph.add("Mod", [x, graph.constant(_BYTE)]), _BYTE - 1, factor
        x, low, high, factor = graph.shift_right(x, 8), low >> 8, high >> 8, factor * _BYTE
    yield x, max(-low, high), factor


def _weight_digits(weights: Integers, bits: int, largest: int, output_axes: int) -> Iterator[tuple[Integers, int, int]]:
    """(digits, their bits, their factor), such that no sum with levels up to `largest` reaches 2**24."""
    if _bound(weights, largest, output_axes) < _EXACT:
        yield weights, bits, 1
        return
    for width in range(bits - 1, 0, -1):
        parts = list(_digits(weights, width))
        if all(_bound(part, largest, output_axes) < _EXACT for part in parts):
            for i, part in enumerate(parts):
                last = i == len(parts) - 1
                yield part, (max(bits - i * width, 2) if last else width + 1), 2 ** (i * width)
            return
    raise StqError(
        "a sum has too many terms to be exact in float32, even of weights of one bit",
        next="export a network whose layers sum fewer than 32,768 terms",
    )


def _digits(weights: Integers, width: int) -> Iterator[Integers]:
    """Digits of `width` bits, 0 and up; the last has the sign."""
    rest = weights
    while rest.min() < -(2**width) or rest.max() >= 2**width:
        yield rest & (2**width - 1)
        rest = rest >> width
    yield rest


def _bound(weights: Integers, largest: int, output_axes: int) -> int:
    """A number that no partial sum exceeds."""
    rows: npt.NDArray[Any] = np.abs(weights).reshape(-1, int(np.prod(weights.shape[-output_axes:])))
    return int(rows.sum(axis=0).max()) * largest
