"""Dense little-endian bit fields: how the archive stores few-bit integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def pack_bits(values: npt.NDArray[np.integer[Any]], bits: int) -> npt.NDArray[np.uint8]:
    """Signed integers of `bits` (1..8) in two's complement, element i in bits [i*bits, (i+1)*bits) of the stream.

    Raises:
        ValueError: a value does not fit.
    """
    flat = values.reshape(-1).astype(np.int64)
    half = 1 << (bits - 1)
    if flat.size and (flat.min() < -half or flat.max() >= half):
        raise ValueError(f"a value does not fit {bits} bits")
    fields = (flat & ((1 << bits) - 1)).astype(np.uint8)
    stream = np.unpackbits(fields[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(stream.reshape(-1), bitorder="little")


def unpack_bits(packed: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.int8]:
    """Inverse of `pack_bits`: `count` int8 values.

    Raises:
        ValueError: `packed` is too short or too long for `count` fields.
    """
    if packed.size != (count * bits + 7) // 8:
        raise ValueError(f"{packed.size} bytes do not hold exactly {count} fields of {bits} bits")
    stream = np.unpackbits(packed, bitorder="little")[: count * bits].reshape(count, bits)
    fields = (
        np.packbits(stream, axis=1, bitorder="little").reshape(-1).astype(np.int64)
        if count
        else stream[:, :0].reshape(0)
    )
    half = 1 << (bits - 1)
    return ((fields ^ half) - half).astype(np.int8)
