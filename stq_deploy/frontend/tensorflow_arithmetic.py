"""TensorFlow's float32 arithmetic on a CPU, in NumPy, bit for bit, where the two differ.

Sums, products, quotients, square roots and rounding are the nearest float32 in both. Five things are not. This module
has them as in the CPU kernels of TensorFlow's x86-64 wheels (Eigen with eight float32 in a packet, no fused
multiply-add):

- a number below the smallest normal one counts as 0, as operand and as result (`flushed`);
- a logarithm is Eigen's rational approximation in full packets, and the C library's in what is left (`log`);
- a power of two below the smallest normal number is 0 (`exp2`);
- a mean adds in an order that depends on the shape (`mean`);
- a reciprocal square root begins with the processor's own approximation in full packets (`rsqrt`).

The order of a sum may depend on the number of threads where one sum has more than 300,000 elements. The order here is
that of one thread.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LN2 = np.float32(math.log(2.0))
EPSILON = np.float32(1e-7)  # Keras's
RSQRT_ULPS = 2
_PACKET = 8
_LEAF = 1024 * _PACKET  # Eigen halves a longer sum
_UNROLLED = 4
_FEWEST_UNROLLED = 16
_TINY = np.finfo(np.float32).tiny
_MAY_UNDERFLOW = np.float32(2.0**-100)  # differences of larger numbers are normal or 0


def flushed(x: Floats) -> Floats:
    """The numbers, with 0 for those that are subnormal."""
    return np.where(np.abs(x) < _TINY, np.float32(0), x)


def log(x: Floats) -> Floats:
    """Natural logarithm; an element's last bits depend on whether it is in a full packet of the flat array."""
    flat = x.ravel()
    packed = flat.size // _PACKET * _PACKET
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.log(flat[packed:].astype(np.float64)).astype(np.float32)
        return np.concatenate([_packet_log(flat[:packed]), rest]).reshape(x.shape)


def _packet_log(x: Floats) -> Floats:
    """Eigen's `plog` of float: x = 2**e * (1 + m), and log(1 + m) by a rational function of degree (3, 3)."""
    f = np.float32
    mantissa, exponent = np.frexp(x)
    small = mantissa < f(0.707106781186547524)
    e = exponent.astype(np.float32) - small.astype(np.float32)
    m = (mantissa - f(1)) + np.where(small, mantissa, f(0))
    p = ((m * f(0.18256296349849254) + f(1.0000000190281063)) * m + f(1.0000000190281136)) * m
    q = ((m * f(0.049616247954120038) + f(0.59923249590823520)) * m + f(1.4999999999999927)) * m + f(1)
    result: Floats = e * f(0.693147180559945309) + p / q
    result = np.where(x == 0, f(-np.inf), np.where(x == np.inf, x, result))
    return np.where((x < 0) | np.isnan(x), f(np.nan), result)


def rsqrt(x: Floats) -> Floats:
    """1 / sqrt(x): what every processor gives outside full packets, and the nearest float32 within them.

    In a full packet of the flat array TensorFlow refines the instruction RSQRTPS by one Newton step. The instruction's
    bits differ from one maker of processors to the next, so TensorFlow has no single value there. Its values lie within
    `RSQRT_ULPS` of the nearest float32 on all of them. What is left after the packets is a rounded square root and a
    rounded quotient.
    """
    flat = flushed(x).ravel()
    packed = flat.size // _PACKET * _PACKET
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = (1.0 / np.sqrt(flat[:packed].astype(np.float64))).astype(np.float32)
        return np.concatenate([nearest, np.float32(1) / np.sqrt(flat[packed:])]).reshape(x.shape)


def shifted_rsqrt(x: Floats, ulps: int) -> Floats:
    """`rsqrt`, moved by so many float32 up or down where TensorFlow's value depends on the processor."""
    found = rsqrt(x)
    flat = found.ravel()
    packed = flat[: flat.size // _PACKET * _PACKET]
    for _ in range(abs(ulps)):
        packed[:] = np.nextafter(packed, np.float32(np.copysign(np.inf, ulps)))
    return found


def exp2(exponents: Floats) -> Floats:
    """2 to the power of whole numbers, or of an infinity or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.clip(np.nan_to_num(exponents), -200, 200).astype(np.int32)
        powers = flushed(np.ldexp(np.float32(1), whole))
    return np.where(np.isnan(exponents), np.float32(np.nan), powers)


def mean(x: Floats, axes: tuple[int, ...]) -> Floats:
    """Mean over some axes, which stay with size 1. All axes but at most one run of neighbours are reduced.

    Raises:
        ValueError: an axis that the array does not have.
    """
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    if any(not 0 <= axis < x.ndim for axis in axes):
        raise ValueError(f"no axis {max(axes)} in {x.ndim} dimensions")
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    first, last = (kept[0], kept[-1]) if kept else (x.ndim, x.ndim - 1)
    outer, inner = math.prod(x.shape[:first]), math.prod(x.shape[last + 1 :])
    blocks = x.reshape(outer, -1, inner)
    total: Floats
    if blocks.shape[1] == 1:
        total = np.array([_sum_of_all(blocks.ravel())])
    elif inner == 1:
        total = _sum_of_rows(blocks[:, :, 0])
    elif outer == 1:
        total = np.array([_sum_of_all(row) for row in blocks[0]])
    else:
        total = _in_order(blocks.transpose(2, 0, 1).reshape(inner * outer, -1))
    with np.errstate(over="ignore", invalid="ignore"):
        return flushed(total / np.float32(outer * inner)).reshape(shape)


def _in_order(rows: Floats) -> Floats:
    """Sum over the first axis, one row after the other, beginning at 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not len(rows):
            return np.zeros(rows.shape[1:], np.float32)
        if not (np.abs(rows[rows != 0]) < _MAY_UNDERFLOW).any():
            sums: Floats = np.add.accumulate(rows, axis=0)
            return np.asarray(sums[-1])
        total: Floats = np.zeros(rows.shape[1:], np.float32)
        for row in rows:
            total = flushed(total + row)
        return total


def _unrolled(rows: Floats) -> Floats:
    """Four sums of every fourth row, added in order, and then the rows that are left."""
    whole = len(rows) // _UNROLLED * _UNROLLED
    four = _in_order(rows[:whole].reshape(-1, _UNROLLED, rows.shape[1]))
    return _in_order(np.concatenate([four, rows[whole:]]))


def _sum_of_rows(rows: Floats) -> Floats:
    """Sum of (rows, columns) over the rows."""
    packed = rows.shape[1] // _PACKET * _PACKET if len(rows) >= _FEWEST_UNROLLED else 0
    if not packed:
        return _in_order(rows)
    return np.concatenate([_unrolled(rows[:, :packed]), _in_order(rows[:, packed:])])


def _sum_of_all(x: Floats) -> np.float32:
    """Sum of a flat array: halves while it is long, then eight sums side by side."""
    if x.size > _LEAF:
        split = _PACKET * -(-(x.size - x.size // 2) // _PACKET)
        return np.float32(_in_order(np.array([_sum_of_all(x[:split]), _sum_of_all(x[split:])]))[()])
    packed = x.size // _PACKET * _PACKET
    rest = _in_order(x[packed:, np.newaxis])
    if not packed:
        return np.float32(rest[0])
    lanes = _unrolled(x[:packed].reshape(-1, _PACKET))
    while lanes.size > 1:
        lanes = _in_order(lanes.reshape(2, -1))
    return np.float32(_in_order(np.concatenate([rest, lanes]))[()])
