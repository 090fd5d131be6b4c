"""Fully connected layers."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stq_deploy.network import TensorType
from stq_deploy.network.ops import Dense
from stq_deploy.program.kernels.call import SCRATCH, CallContext, KernelCall, Struct, fields
from stq_deploy.program.kernels.constant_outputs import LiveOutputs, live_outputs
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
from stq_deploy.program.weights import WeightLayout, row_elements


class DenseKernels(Weighted[Dense]):
    """`stq_dense_*`: the input is widened once, and two outputs summed at a time.

    Outputs that are constants have no weights; `stq_scatter` adds them (`constant_outputs.py`).
    """

    def rows(self, op: Dense) -> npt.NDArray[np.int64]:
        """A row for each output."""
        return op.weights_by_output()

    def live(self, work: Work[Dense]) -> LiveOutputs:
        """The layer as the kernel runs it."""
        return _live(work.op, work.inputs[0], work.output)

    def weights(self, work: Work[Dense]) -> WeightLayout:
        return super().weights(self.live(work).work)

    def table_bytes(self, work: Work[Dense]) -> int:
        live = self.live(work)
        return super().table_bytes(live.work) + live.table_bytes

    def scratch_bytes(self, work: Work[Dense]) -> int:
        outputs = self.live(work).work.output.elements
        return dense_scratch(work.inputs[0].elements, work.op.weight_bits, outputs)

    def traffic(self, work: Work[Dense]) -> Traffic:
        live, (x,) = self.live(work), work.inputs
        output, requantize = live.work.output, live.work.op.requantize
        columns = COLUMN_BYTES * x.elements * (1 + -(-output.elements // 2))
        moved = 2 * output.bytes + work.output.bytes if live.folded else output.bytes
        return Traffic(
            x.bytes + moved,
            columns + accumulator_traffic(output),
            self.weight_bytes(work) + requantize_reads(requantize, output) + live.table_bytes,
        )

    def emit(self, context: CallContext[Dense]) -> KernelCall:
        live, (x,) = self.live(context.work), context.inputs
        op, layout = live.work.op, self.weights(context.work)
        weights = self.packed_rows(context, self.rows(op), layout)
        tables, requantize = requantize_call(context, op.requantize)
        offsets = fields(input_offset=-x.zero_point, weight_offset=layout.offset)
        params = Struct("stq_dense_params", "params", (offsets,))
        arguments = (
            SCRATCH, "&params", REQUANTIZE, x.elements, context.input_pointers[0], weights.name,
            live.work.output.elements, context.output_pointer,
        )  # fmt: skip
        call = KernelCall((weights, *tables), (params, requantize), arguments, (f"{layout.bits}-bit weights",))
        if not live.folded:
            return call
        finish = live.finish(context)
        return replace(
            call,
            constants=(*call.constants, *finish.constants),
            structs=(*call.structs, *finish.structs),
            notes=(*call.notes, f"{live.folded} of {context.output.elements} outputs are constants"),
            finish=finish,
        )


@lru_cache(maxsize=64)
def _live(op: Dense, x: TensorType, output: TensorType) -> LiveOutputs:
    """Found once for an op, not for each fact about its kernel. Ops are compared by identity."""
    return live_outputs(Work(op, (x,), output))


def dense_scratch(inputs: int, bits: int, outputs: int) -> int:
    """`stq_dense_buffer_size`: the input as int16, then int32 accumulators."""
    return COLUMN_BYTES * row_elements(inputs, bits) + ACCUMULATOR_BYTES * (outputs + outputs % 2)
