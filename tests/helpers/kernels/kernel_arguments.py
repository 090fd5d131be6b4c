"""Arguments of the kernels in `stq_nn.h`, in `bare_metal`'s form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels.bare_metal import Argument, Struct

Kind = Literal["multiplier", "threshold", "table", "keep", "shift", "wide", "long", "packed", "rounded"]

KINDS: dict[Kind, int] = {
    "multiplier": 0, "threshold": 1, "table": 2, "keep": 3, "shift": 4, "wide": 5, "long": 6, "packed": 7,
    "rounded": 8,
}  # fmt: skip
"""`stq_requantize_kind`."""

TYPES: dict[str, int] = {"int8": 0, "int16": 1, "int32": 2}
"""`stq_type` by the name of a NumPy dtype."""

WEIGHT_NAMES = {1: "b1", 2: "t2", 4: "s4", 8: "s8", 16: "s16"}
"""Suffix of a kernel's name by the width of its weights in bits."""


def kernel_name(op: str, bits: int, input_type: str) -> str:
    """`stq_convolve_t2_s8` for ("convolve", 2, "int8")."""
    return f"stq_{op}_{WEIGHT_NAMES[bits]}_s{np.dtype(input_type).itemsize * 8}"


def context(scratch: npt.NDArray[Any]) -> Struct:
    """`stq_context` over a scratch array."""
    return Struct((scratch, scratch.nbytes))


def dims(height: int, width: int, channels: int) -> Struct:
    """`stq_dims`."""
    return Struct((height, width, channels))


def conv_params(
    input_offset: int = 0,
    weight_offset: int = 0,
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Struct:
    """`stq_conv_params`; pairs are (vertical, horizontal), `pad` is (top, left)."""
    return Struct((input_offset, weight_offset, *stride, *pad, *dilation))


def gather_params(window: Struct, levels: tuple[int, int]) -> Struct:
    """`stq_gather_params`: a `conv_params`, and the smallest and largest level of the input."""
    return Struct((*window.fields, *levels))


def coded_weights(words: npt.NDArray[np.uint32], gap_bits: int = 0) -> Struct:
    """`stq_coded_weights`."""
    return Struct((words, words.size, gap_bits))


def dense_params(input_offset: int = 0, weight_offset: int = 0) -> Struct:
    """`stq_dense_params`."""
    return Struct((input_offset, weight_offset))


def pool_params(
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int] = (0, 0),
    input_offset: int = 0,
    multiple: int = 0,
) -> Struct:
    """`stq_pool_params`; pairs are (vertical, horizontal), `pad` is (top, left). Average pooling uses the last two."""
    return Struct((*window, *stride, *pad, input_offset, multiple))


def curve_params(types: tuple[str, str], entries: int, base: int, shift: int, minimum: int, maximum: int) -> Struct:
    """`stq_curve_params`; `types` are the input's and the output's."""
    return Struct((TYPES[types[0]], TYPES[types[1]], entries, base, shift, minimum, maximum))


def softmax_params(input_type: str, entries: int) -> Struct:
    """`stq_softmax_params`."""
    return Struct((TYPES[input_type], entries))


def rescale_params(input_type: str, input_offset: int = 0) -> Struct:
    """`stq_rescale_params`."""
    return Struct((TYPES[input_type], input_offset))


def elementwise_params(
    types: tuple[str, str], offsets: tuple[int, int] = (0, 0), factors: tuple[int, int] = (1, 1)
) -> Struct:
    """`stq_elementwise_params`; pairs are those of the inputs a and b."""
    return Struct((TYPES[types[0]], TYPES[types[1]], *offsets, *factors))


def pad_params(level_type: str, before: tuple[int, int], level: int) -> Struct:
    """`stq_pad_params`; `before` is (top, left)."""
    return Struct((TYPES[level_type], *before, level))


def crop_params(level_type: str, before: tuple[int, int]) -> Struct:
    """`stq_crop_params`; `before` is (top, left)."""
    return Struct((TYPES[level_type], *before))


def scatter_params(level_type: str, count: int, elements: int) -> Struct:
    """`stq_scatter_params`."""
    return Struct((TYPES[level_type], count, elements))


def upsample_params(level_type: str, size: tuple[int, int]) -> Struct:
    """`stq_upsample_params`; `size` is (vertical, horizontal)."""
    return Struct((TYPES[level_type], *size))


def concatenate_params(parts: int, rows: int, output_type: str, output_offset: int = 0) -> Struct:
    """`stq_concatenate_params`."""
    return Struct((parts, rows, TYPES[output_type], output_offset))


def concatenate_parts(parts: Sequence[tuple[npt.NDArray[Any], int, int, int]]) -> Struct:
    """An array of `stq_concatenate_part`, each (levels, elements of a row, input offset, factor)."""
    fields: list[Argument] = []
    for levels, elements, input_offset, factor in parts:
        fields += [levels, TYPES[levels.dtype.name], elements, input_offset, factor]
    return Struct(tuple(fields))


def requantize(
    kind: Kind,
    output_type: str = "int8",
    *,
    left_shift: int = 0,
    right_shift: int = 0,
    minimum: int = 0,
    maximum: int = 0,
    multiplier: npt.NDArray[np.int32] | None = None,
    offset: npt.NDArray[np.int32] | None = None,
    thresholds: npt.NDArray[np.int32] | None = None,
    sign: npt.NDArray[np.int8] | None = None,
    table: npt.NDArray[np.int8] | None = None,
    table_base: int = 0,
    shift: npt.NDArray[np.int8] | None = None,
    zero_point: int = 0,
    wide_offset: npt.NDArray[np.int64] | None = None,
    fraction: npt.NDArray[np.int32] | None = None,
    lowest: npt.NDArray[np.int32] | None = None,
    highest: npt.NDArray[np.int32] | None = None,
) -> Struct:
    """`stq_requantize`.

    Args:
        thresholds: (channels, levels - 1).
        table: (channels, entries), or (1, entries) shared by all channels.
    """
    levels = 0 if thresholds is None else thresholds.shape[1] + 1
    stride = 0 if table is None or table.shape[0] == 1 else table.shape[1]
    return Struct(
        (
            KINDS[kind], TYPES[output_type], left_shift, right_shift, minimum, maximum, multiplier, offset, thresholds,
            sign, levels, table, table_base, stride, shift, zero_point, wide_offset, fraction,
            lowest, highest,
        )
    )  # fmt: skip
