"""Scratch bytes of each kernel: the formulas of `firmware_templates/kernels/include/internal/stq_nn_scratch.h` again.

Planning needs no compiler, so the formulas exist twice; `tests/kernels/test_kernel_scratch.py` compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

from stq_deploy.network import TensorType
from stq_deploy.network.ops import AveragePool, Convolve, Dense, DepthwiseConvolve, ElementwiseOp, Op

DEPTHWISE_BLOCK = 32
"""Channels that a depthwise kernel processes at a time (STQ_DEPTHWISE_BLOCK)."""
CHANNEL_BLOCK = 64
"""Channels that average pooling and the elementwise kernels process at a time (STQ_CHANNEL_BLOCK)."""


def scratch_bytes(op: Op, inputs: Sequence[TensorType], output: TensorType) -> int:
    """Bytes of scratch that the kernel of `op` needs, whichever implementation is linked; 0 if it needs none."""
    if isinstance(op, Convolve):
        return convolve(*op.window.size, op.weights.shape[2], op.weight_bits, output.channels)
    if isinstance(op, DepthwiseConvolve):
        return depthwise_convolve(*op.window.size)
    if isinstance(op, Dense):
        return dense(inputs[0].elements, op.weight_bits, output.elements)
    if isinstance(op, (AveragePool, ElementwiseOp)):
        return channel_block(output.channels)
    return 0


def convolve(kernel_height: int, kernel_width: int, group_channels: int, bits: int, output_channels: int) -> int:
    """For two pixels: int16 columns, then int32 accumulators. `group_channels` are the input channels of a group."""
    column = row_elements(kernel_height * kernel_width * group_channels, bits)
    return 2 * 2 * column + 2 * 4 * _even(output_channels)


def depthwise_convolve(kernel_height: int, kernel_width: int) -> int:
    """For a block of channels: int16 weights for every tap, then int32 accumulators."""
    return 2 * DEPTHWISE_BLOCK * kernel_height * kernel_width + 4 * DEPTHWISE_BLOCK


def dense(inputs: int, bits: int, outputs: int) -> int:
    """The input as int16, then int32 accumulators."""
    return 2 * row_elements(inputs, bits) + 4 * _even(outputs)


def channel_block(channels: int) -> int:
    """int32 accumulators of a block of one pixel's channels."""
    return 4 * min(channels, CHANNEL_BLOCK)


def row_elements(count: int, bits: int) -> int:
    """Elements of a row of `count` weights of `bits` (1, 2, 4, 8, 16) bits, padded to whole 32-bit words."""
    per_word = 32 // bits
    return -(-count // per_word) * per_word


def _even(count: int) -> int:
    return count + count % 2
