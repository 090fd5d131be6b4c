"""Softmax over the channels."""

from __future__ import annotations

from stq_deploy.network.ops import Softmax
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, KernelCall, Struct, fields
from stq_deploy.program.kernels.spec import ANY_TYPE, Kernel, Traffic
from stq_deploy.program.kernels.table import Tabled
from stq_deploy.program.kernels.work import Work


class SoftmaxKernels(Tabled[Softmax]):
    """`stq_softmax`: the largest level, the sum of the exponentials, then the quotients."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_softmax", ANY_TYPE),)

    def look_ups(self, work: Work[Softmax]) -> int:
        return 2  # for the sum, and for the quotient

    def traffic(self, work: Work[Softmax]) -> Traffic:
        once = super().traffic(work)
        (x,) = work.inputs
        return Traffic(once.activations + 2 * x.bytes, once.scratch, once.constants)  # the input is read three times

    def may_replace(self, work: Work[Softmax], index: int) -> bool:
        return False

    def emit(self, context: CallContext[Softmax]) -> KernelCall:
        op, (x,) = context.op, context.inputs
        table = context.constant("table", op.table, f"{op.UNIT} * exp(-x) by levels below the largest")
        row = fields(input_type=STQ_TYPES[x.dtype], entries=len(op.table))
        arguments = (
            "&params", table.name, x.elements // x.channels, x.channels, context.input_pointers[0],
            context.output_pointer,
        )  # fmt: skip
        return KernelCall((table,), (Struct("stq_softmax_params", "params", (row,)),), arguments)
