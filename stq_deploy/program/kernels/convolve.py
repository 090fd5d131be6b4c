"""Convolution and depthwise convolution: one kernel interface, two meanings of a weight row."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Convolve, DepthwiseConvolve
from stq_deploy.network.requantize import Form
from stq_deploy.program.kernels.call import SCRATCH, CallContext, KernelCall, Struct, fields, image_dims
from stq_deploy.program.kernels.requantized import (
    ACCUMULATOR_BYTES,
    REQUANTIZE,
    accumulator_traffic,
    requantize_call,
    requantize_reads,
)
from stq_deploy.program.kernels.spec import Kernel, Traffic
from stq_deploy.program.kernels.weighted import CODED, COLUMN_BYTES, Weighted, coded_weights, weight_note
from stq_deploy.program.kernels.windows import covered_bytes, covered_elements, window_note
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import row_elements

WORD_INSTRUCTIONS = {1: 135, 2: 71, 4: 37, 8: 19, 16: 9.5}
"""Bits of a weight -> instructions that multiply a word of two rows by two columns (`stq_convolve_rows.h`)."""
WORD_CYCLES = {1: 68, 2: 36, 4: 19, 8: 9.75, 16: 5.5}
"""Bits of a weight -> cycles that these take: the lines of `stq_convolve_rows.h`, shared out among a turn's words."""

STRIP_BYTES = 8192
"""Bytes that a convolution spends on a strip, unless a window takes more (STQ_STRIP_BYTES)."""

DEPTHWISE_BLOCK = 32
"""Channels that a depthwise kernel processes at a time (STQ_DEPTHWISE_BLOCK)."""

AnyConvolution = TypeVar("AnyConvolution", bound=Convolve | DepthwiseConvolve)


class ConvolveKernels(Weighted[Convolve]):
    """`stq_convolve_*`: windows of two pixels are gathered into strips, and two output channels summed at a time."""

    def rows(self, op: Convolve) -> npt.NDArray[np.int64]:
        """A row for each output channel, in (kernel row, kernel column, input channel of the group) order."""
        return op.weights_by_output()

    def scratch_bytes(self, work: Work[Convolve]) -> int:
        op = work.op
        output_height, _, channels = work.output.shape
        return convolve_scratch(*op.window.size, op.weights.shape[2], op.weight_bits, output_height, channels)

    def traffic(self, work: Work[Convolve]) -> Traffic:
        op, (x,), output = work.op, work.inputs, work.output
        # Each word of weights is read once for two pixels. Two output channels at a time read the columns; those of a
        # group read the group's part of them.
        pixels, taps = output.elements // output.channels, int(np.prod(op.window.size))
        share = _gathered_share(work)
        columns = round(taps * COLUMN_BYTES * (share * x.channels + op.weights.shape[2] * -(-output.channels // 2)))
        weights = -(-pixels // 2) * self.weight_bytes(work)
        return Traffic(
            round(share * covered_bytes(op.window, x, x.channels)) + output.bytes,
            pixels * columns + accumulator_traffic(output),
            weights + requantize_reads(op.requantize, output),
        )

    def emit(self, context: CallContext[Convolve]) -> KernelCall:
        depth = context.op.weights.shape[2]
        return convolution_call(self, context, depth, context.op.requantize, group_notes(context))

    def instructions(self, work: Work[Convolve]) -> int:
        return round(WORD_INSTRUCTIONS[work.op.weight_bits] * _word_blocks(work) + _other_instructions(work))

    def cycles(self, work: Work[Convolve]) -> int:
        """Estimated cycles; the hand-written loops run two instructions in nearly each, and the rest fewer."""
        others = self.cycles_per_instruction * _other_instructions(work)
        return round(WORD_CYCLES[work.op.weight_bits] * _word_blocks(work) + others)

    def code(self, kernel: Kernel) -> dict[str, int]:
        return {
            kernel.function: 1250,
            f"convolve, {kernel.weight_bits}-bit weights": 450,
            f"convolve, windows of {kernel.input_types[0]}": 650,
        }


def _word_blocks(work: Work[Convolve]) -> float:
    """How often a word of two rows is multiplied by two columns."""
    op, output = work.op, work.output
    row = int(np.prod(op.window.size)) * op.weights.shape[2]
    words: int = -(-row * op.weight_bits // 32)
    return words * output.elements / 4


def _other_instructions(work: Work[Convolve]) -> int:
    """Instructions that gather the columns, begin and end the rows, and requantize: fitted to exact counts."""
    op, output = work.op, work.output
    taps = int(np.prod(op.window.size))
    row: int = taps * op.weights.shape[2]
    # The surplus of weights that are stored with an offset is summed up for the rows that are gathered.
    a_level = 2.4 if op.weight_bits >= 8 else 3.4
    gathered = _gathered_share(work) * (a_level * row + 27 * taps)
    return round(output.elements // output.channels * (180 + 13 * output.channels + gathered))


def _gathered_share(work: Work[Convolve]) -> float:
    """Levels that are gathered for a window, as a share of those in it: less than 1 where windows share a strip."""
    window, (output_height, *_), depth = work.op.window, work.output.shape, work.op.weights.shape[2]
    height, stride = window.size[0], window.stride[0]
    rows = strip_rows(height, window.size[1] * depth, work.op.weight_bits, output_height)
    windows = (rows - height) // stride + 1 if window.dilation[0] == 1 else 1
    return ((windows - 1) * stride + height) / (windows * height)


class DepthwiseConvolveKernels(Weighted[DepthwiseConvolve]):
    """`stq_depthwise_convolve_*`: the weights of a block of channels are widened once, and read for every pixel."""

    cycles_per_instruction = 0.72

    def rows(self, op: DepthwiseConvolve) -> npt.NDArray[np.int64]:
        """A row for each kernel tap, in (kernel row, kernel column) order; its elements are output channels."""
        return op.weights_by_output().T

    def scratch_bytes(self, work: Work[DepthwiseConvolve]) -> int:
        return depthwise_convolve_scratch(*work.op.window.size)

    def traffic(self, work: Work[DepthwiseConvolve]) -> Traffic:
        op, (x,), output = work.op, work.inputs, work.output
        widened = COLUMN_BYTES * op.weights.size  # two from each word that is read
        multiplied = COLUMN_BYTES * covered_elements(op.window, x, output.channels)
        return Traffic(
            covered_bytes(op.window, x, output.channels) + output.bytes,
            widened + multiplied + accumulator_traffic(output),
            widened + requantize_reads(op.requantize, output),
        )

    def emit(self, context: CallContext[DepthwiseConvolve]) -> KernelCall:
        return convolution_call(self, context, context.output.channels, context.op.requantize)

    def instructions(self, work: Work[DepthwiseConvolve]) -> int:
        """Fitted to exact counts."""
        op, output = work.op, work.output
        taps, pixels = int(np.prod(op.window.size)), output.elements // output.channels
        # Channels that are not processed by fours.
        single = output.channels if op.weights.shape[3] > 1 else output.channels % 4
        counted = output.elements * (2.5 * taps + 13) + 14 * taps * single * pixels
        return round(counted + 150 * pixels + 10 * op.weights.size)

    def code(self, kernel: Kernel) -> dict[str, int]:
        return {
            kernel.function: 700,
            f"depthwise, {kernel.weight_bits}-bit weights of {kernel.input_types[0]}": 400,
            f"depthwise, {kernel.input_types[0]}": 900,
        }


def convolve_scratch(
    height: int, width: int, group_channels: int, bits: int, output_height: int, output_channels: int
) -> int:
    """`stq_convolve_buffer_size`: int16 strips, an initial sum for each row and int32 accumulators, of two pixels.

    Args:
        height, width: of the window.
        group_channels: input channels of a group.
        output_height: rows of the output.
    """
    rows = strip_rows(height, width * group_channels, bits, output_height)
    strip = row_elements(rows * width * group_channels, bits)
    even_channels = output_channels + output_channels % 2
    return 2 * (COLUMN_BYTES * strip + ACCUMULATOR_BYTES * (rows + even_channels))


def shares_strips(height: int, row: int, bits: int) -> bool:
    """`stq_strip_is_shared`: whether windows below each other share the rows of a strip.

    Args:
        height: of the window.
        row: levels in a row of the window.
    """
    return row % 4 == 0 and height * row % (32 // bits) == 0


def strip_rows(height: int, row: int, bits: int, output_height: int) -> int:
    """`stq_strip_rows`: the most rows of windows that are gathered at once.

    Args:
        height: of the window.
        row: levels in a row of the window.
        output_height: rows of the output.
    """
    if not shares_strips(height, row, bits):
        return height
    return max(height, min(STRIP_BYTES // 4 // row, height - 1 + min(output_height, 8)))


def depthwise_convolve_scratch(height: int, width: int) -> int:
    """`stq_depthwise_convolve_buffer_size`: for a block of channels, int16 weights, then int32 accumulators.

    Args:
        height, width: of the window.
    """
    return DEPTHWISE_BLOCK * (COLUMN_BYTES * height * width + ACCUMULATOR_BYTES)


def group_notes(context: CallContext[Convolve]) -> tuple[str, ...]:
    """The groups of a convolution for a comment, if it has several."""
    groups = context.inputs[0].channels // context.op.weights.shape[2]
    return (f"{groups} groups",) if groups > 1 else ()


def convolution_call(
    spec: Weighted[AnyConvolution],
    context: CallContext[AnyConvolution],
    filter_channels: int,
    form: Form,
    notes: tuple[str, ...] = (),
) -> KernelCall:
    """The call that all convolutions have.

    Args:
        filter_channels: depth of a convolution's filter: that of a group of input channels, or of a depthwise output.
        form: the requantization that the kernel applies.
    """
    op, (x,) = context.op, context.inputs
    weights, layout = spec.packed(context)
    tables, requantize = requantize_call(context, form)
    window = op.window
    params = Struct(
        "stq_conv_params",
        "params",
        (
            fields(input_offset=-x.zero_point, weight_offset=layout.offset),
            fields(stride_h=window.stride[0], stride_w=window.stride[1]),
            fields(pad_top=window.pad_before[0], pad_left=window.pad_before[1]),
            fields(dilation_h=window.dilation[0], dilation_w=window.dilation[1]),
        ),
    )
    structs = (
        params,
        requantize,
        image_dims("input_dims", x.shape),
        image_dims("filter_dims", (*window.size, filter_channels)),
        image_dims("output_dims", context.output.shape),
    )
    arguments = (
        SCRATCH, "&params", REQUANTIZE, "&input_dims", context.input_pointers[0], "&filter_dims",
        weights.name if layout.packing == "fields" else CODED, "&output_dims", context.output_pointer,
    )  # fmt: skip
    all_notes = (window_note(window), *notes, weight_note(layout))
    return KernelCall((weights, *tables), (*structs, *coded_weights(weights, layout)), arguments, all_notes)
