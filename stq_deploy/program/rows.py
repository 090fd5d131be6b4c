"""Fields in 32-bit words: even elements in the low half, odd elements in the high half.

Element 2j of a word has bits [b*j, b*j + b), element 2j + 1 bits [16 + b*j, 16 + b*j + b). One shift and one mask give
a kernel two neighbouring weights in the two halves of a register. Fields of one bit are `offset` bits higher, modulo
32; `stq_nn.h` explains why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WORD_BITS = 32
FIELD_BITS = (1, 2, 4, 8, 16)

Words = npt.NDArray[np.uint32]


def field_shifts(bits: int, offset: int) -> npt.NDArray[np.uint32]:
    """Position of the lowest bit of each of a word's `32 / bits` elements; uint32 (elements,).

    Raises:
        ValueError: `bits` is not a field width of the kernels, or weights of one bit have another offset than 0 or 1.
    """
    if bits not in FIELD_BITS:
        raise ValueError(f"a field has 1, 2, 4, 8 or 16 bits, not {bits}")
    if bits == 1 and offset not in (0, 1):
        raise ValueError(f"weights of 1 bit have offset 0 or 1, not {offset}")
    element = np.arange(WORD_BITS // bits)
    shifts = element // 2 * bits + element % 2 * (WORD_BITS // 2)
    return ((shifts + offset) % WORD_BITS if bits == 1 else shifts).astype(np.uint32)


def pack_rows(weights: npt.NDArray[np.integer[Any]], bits: int, offset: int) -> Words:
    """Pack rows of weights.

    Args:
        weights: (R, K) integers.
        bits: 1, 2, 4, 8 or 16.
        offset: added to each weight; the field is the sum's low `bits` bits, or its bit `offset` if `bits` is 1.

    Returns:
        uint32 (R, ceil(K * bits / 32)); elements past K are weight 0, or field 0 where `bits` is 1.

    Raises:
        ValueError: a weight does not fit a field, or the kernels have no field of `bits` and `offset`.
    """
    shifts = field_shifts(bits, offset)
    rows, columns = weights.shape
    words = -(-columns // len(shifts))
    padded = np.zeros((rows, words * len(shifts)), np.int64)
    padded[:, :columns] = weights
    fields = ((padded + offset) >> (offset if bits == 1 else 0)) & ((1 << bits) - 1)
    if not np.array_equal(_weights_of(fields[:, :columns], bits, offset), weights):
        raise ValueError(f"a weight has no field of {bits} bits with offset {offset}")
    placed = fields.astype(np.uint32).reshape(rows, words, len(shifts)) << shifts
    packed: Words = np.bitwise_or.reduce(placed, axis=2)
    return packed


def unpack_rows(words: Words, bits: int, offset: int, columns: int) -> npt.NDArray[np.int16]:
    """Inverse of `pack_rows`: int16 (R, columns).

    Raises:
        ValueError: `columns` elements do not fill the words, or the kernels have no field of `bits` and `offset`.
    """
    shifts = field_shifts(bits, offset)
    rows, length = words.shape
    if length != -(-columns // len(shifts)):
        raise ValueError(f"{columns} elements of {bits} bits do not take {length} words")
    fields = (words[:, :, None] >> shifts) & np.uint32((1 << bits) - 1)
    values = fields.reshape(rows, length * len(shifts))[:, :columns].astype(np.int64)
    return _weights_of(values, bits, offset).astype(np.int16)


def _weights_of(fields: npt.NDArray[np.int64], bits: int, offset: int) -> npt.NDArray[np.int64]:
    """The weights of fields."""
    if bits == 1:
        return (fields << offset) - offset
    if offset:
        return fields - offset
    half = 1 << (bits - 1)
    return (fields ^ half) - half
