"""Fields in 32-bit words: even elements in the low half, odd elements in the high half.

Element 2j of a word lies in bits [b*j, b*j + b), element 2j + 1 in bits [16 + b*j, 16 + b*j + b): one shift
and one mask give a kernel two neighbouring weights in the two halves of a register.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WORD_BITS = 32
FIELD_BITS = (2, 4, 8)

Words = npt.NDArray[np.uint32]


def field_shifts(bits: int) -> npt.NDArray[np.uint32]:
    """Position of the lowest bit of each of a word's `32 / bits` elements; uint32 (elements,).

    Raises:
        ValueError: `bits` is not a field width of the kernels.
    """
    if bits not in FIELD_BITS:
        raise ValueError(f"a field has 2, 4 or 8 bits, not {bits}")
    element = np.arange(WORD_BITS // bits, dtype=np.uint32)
    return (element // 2 * bits + element % 2 * (WORD_BITS // 2)).astype(np.uint32)


def pack_rows(weights: npt.NDArray[np.integer[Any]], bits: int, offset: int) -> Words:
    """Pack rows of weights.

    Args:
        weights: (R, K) integers.
        bits: 2, 4 or 8.
        offset: added to each weight; the sum's low `bits` bits are the field.

    Returns:
        uint32 (R, ceil(K * bits / 32)); elements past K stand for weight 0.

    Raises:
        ValueError: a weight has no field of its own under `bits` and `offset`, or `bits` is no field width.
    """
    shifts = field_shifts(bits)
    rows, columns = weights.shape
    low = -offset if offset else -(1 << (bits - 1))
    if weights.size and (int(weights.min()) < low or int(weights.max()) > low + (1 << bits) - 1):
        raise ValueError(f"a weight lies outside {low}..{low + (1 << bits) - 1}")
    words = -(-columns // len(shifts))
    padded = np.zeros((rows, words * len(shifts)), np.int64)
    padded[:, :columns] = weights
    fields = ((padded + offset) & ((1 << bits) - 1)).astype(np.uint32).reshape(rows, words, len(shifts))
    packed: Words = np.bitwise_or.reduce(fields << shifts, axis=2)
    return packed


def unpack_rows(words: Words, bits: int, offset: int, columns: int) -> npt.NDArray[np.int8]:
    """Inverse of `pack_rows`: int8 (R, columns).

    Raises:
        ValueError: `columns` elements do not take the words given, or `bits` is no field width.
    """
    shifts = field_shifts(bits)
    rows, length = words.shape
    if length != -(-columns // len(shifts)):
        raise ValueError(f"{columns} elements of {bits} bits do not take {length} words")
    fields = (words[:, :, None] >> shifts) & np.uint32((1 << bits) - 1)
    values = fields.reshape(rows, length * len(shifts))[:, :columns].astype(np.int64)
    if offset:
        return (values - offset).astype(np.int8)
    half = 1 << (bits - 1)
    return ((values ^ half) - half).astype(np.int8)
