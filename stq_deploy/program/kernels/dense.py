"""Fully connected layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Dense
from stq_deploy.program.kernels.call import SCRATCH, CallContext, KernelCall, Struct, fields
from stq_deploy.program.kernels.requantized import (
    ACCUMULATOR_BYTES,
    REQUANTIZE,
    accumulator_traffic,
    requantize_call,
    requantize_reads,
)
from stq_deploy.program.kernels.spec import Traffic
from stq_deploy.program.kernels.weighted import COLUMN_BYTES, Weighted
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import row_elements


class DenseKernels(Weighted[Dense]):
    """`stq_dense_*`: the input is widened once, and two outputs summed at a time."""

    def rows(self, op: Dense) -> npt.NDArray[np.int64]:
        """A row for each output."""
        return op.weights_by_output()

    def scratch_bytes(self, work: Work[Dense]) -> int:
        return dense_scratch(work.inputs[0].elements, work.op.weight_bits, work.output.elements)

    def traffic(self, work: Work[Dense]) -> Traffic:
        (x,), output = work.inputs, work.output
        columns = COLUMN_BYTES * x.elements * (1 + -(-output.elements // 2))
        return Traffic(
            x.bytes + output.bytes,
            columns + accumulator_traffic(output),
            self.weight_bytes(work) + requantize_reads(work.op.requantize, output),
        )

    def emit(self, context: CallContext[Dense]) -> KernelCall:
        op, (x,) = context.op, context.inputs
        weights, layout = self.packed(context)
        tables, requantize = requantize_call(context, op.requantize)
        offsets = fields(input_offset=-x.zero_point, weight_offset=layout.offset)
        params = Struct("stq_dense_params", "params", (offsets,))
        arguments = (
            SCRATCH, "&params", REQUANTIZE, x.elements, context.input_pointers[0], weights.name,
            context.output.elements, context.output_pointer,
        )  # fmt: skip
        return KernelCall((weights, *tables), (params, requantize), arguments, (f"{layout.bits}-bit weights",))


def dense_scratch(inputs: int, bits: int, outputs: int) -> int:
    """`stq_dense_buffer_size`: the input as int16, then int32 accumulators."""
    return COLUMN_BYTES * row_elements(inputs, bits) + ACCUMULATOR_BYTES * (outputs + outputs % 2)
