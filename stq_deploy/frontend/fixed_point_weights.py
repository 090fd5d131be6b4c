"""Weights without a quantizer that are fixed-point numbers of few bits as they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer, make_quantizer
from stq_deploy.frontend.source import FloatArray

_LARGEST_INTEGER_BITS = 31  # the most that QKeras takes


def fixed_point_quantizer(values: FloatArray, most_bits: int) -> Quantizer | None:
    """The narrowest `quantized_bits` that leaves every weight as it is, to the last bit.

    Args:
        values: float32 weights of any shape.
        most_bits: the most bits that a weight may have, its sign included.

    Returns:
        None if there is no such quantizer: the weights have more bits, or are not finite.
    """
    exact = values.astype(np.float64).ravel()
    if not np.isfinite(exact).all():
        return None
    step = min(_lowest_bit(exact), 0)  # QKeras has no fewer than 0 integer bits
    integers = np.ldexp(exact, -step)
    largest = max(integers.max(initial=0), -integers.min(initial=0) - 1)
    if largest >= 2 ** (most_bits - 1):
        return None
    bits = max(int(largest).bit_length() + 1, 2, 1 - step)
    integer = step + bits - 1
    if bits > most_bits or integer > _LARGEST_INTEGER_BITS:
        return None
    return make_quantizer("quantized_bits", bits=bits, integer=integer, keep_negative=True, alpha=1)


def _lowest_bit(exact: npt.NDArray[np.float64]) -> int:
    """Exponent of the lowest bit that is set in any number; 0 if all are 0."""
    mantissas, exponents = np.frexp(exact[exact != 0])
    if not mantissas.size:
        return 0
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return int((exponents - 53 + trailing).min())
