"""What all kernels with an accumulator share: the `stq_requantize` structure, its limits and what it reads."""

from __future__ import annotations

from stq_deploy.network import TensorType
from stq_deploy.network.requantize import Form
from stq_deploy.network.tensor import fits
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, Constant, Struct, fields
from stq_deploy.program.kernels.spec import HAND_MADE, Refusal
from stq_deploy.program.kernels.work import AnyOp

ACCUMULATOR_BYTES = 4
REQUANTIZE = "&requantize"
"""The argument that points to the structure."""


def requantize_call(context: CallContext[AnyOp], form: Form) -> tuple[tuple[Constant, ...], Struct]:
    """The arrays of a requantization, and the structure `requantize` that refers to them."""
    arrays = form.arrays()
    constants = tuple(context.constant(a.field, a.values, a.note) for a in arrays)
    kind = fields(kind=f"STQ_REQUANTIZE_{form.kind.upper()}", output_type=STQ_TYPES[context.output.dtype])
    pointers = fields(**{a.field: constant.name for a, constant in zip(arrays, constants, strict=True)})
    rows = tuple(filter(None, (kind, fields(**form.settings()), pointers)))
    return constants, Struct("stq_requantize", "requantize", rows)


def requantize_limits(form: Form) -> Refusal | None:
    """Why a kernel cannot take the form's settings; None if it can."""
    for name, value in form.settings().items():
        if not fits("int32", value):
            return Refusal(f"its requantization's {name.replace('_', ' ')} {value} does not fit 32 bits", HAND_MADE)
    return None


def requantize_reads(form: Form, output: TensorType) -> int:
    """Bytes of constants that requantizing every element of `output` reads."""
    return form.read_bytes(output.elements // output.channels)


def accumulator_traffic(output: TensorType) -> int:
    """Bytes of writing and reading an accumulator for each element of `output`."""
    return 2 * ACCUMULATOR_BYTES * output.elements


CHANNEL_BLOCK = 64
"""Channels that average pooling and the elementwise kernels process at a time (STQ_CHANNEL_BLOCK)."""


def channel_block_scratch(channels: int) -> int:
    """`stq_channel_block_buffer_size`: int32 accumulators of a block of one pixel's channels."""
    return ACCUMULATOR_BYTES * min(channels, CHANNEL_BLOCK)
