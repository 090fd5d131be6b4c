"""Look-up tables of one or two tensors, and curves between a table's entries."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

from stq_deploy.network.ops import Curve, PairTable, Softmax, Table
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, KernelCall, Struct, Value, fields
from stq_deploy.program.kernels.spec import ANY_TYPE, Kernel, KernelSpec, Refusal, Traffic
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout

AnyTable = TypeVar("AnyTable", Table, PairTable, Curve, Softmax)


class Tabled(KernelSpec[AnyTable]):
    """A family whose only constants are a table."""

    @abstractmethod
    def look_ups(self, work: Work[AnyTable]) -> int:
        """Entries of the table that one element of the output takes."""

    def limits(self, work: Work[AnyTable]) -> Refusal | None:
        return None

    def weights(self, work: Work[AnyTable]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[AnyTable]) -> int:
        return work.op.table.nbytes

    def scratch_bytes(self, work: Work[AnyTable]) -> int:
        return 0

    def traffic(self, work: Work[AnyTable]) -> Traffic:
        moved = sum(t.bytes for t in work.inputs) + work.output.bytes
        return Traffic(moved, 0, self.look_ups(work) * work.output.elements * work.op.table.itemsize)


class TableKernels(Tabled[Table]):
    """`stq_table_s8`."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_table_s8", ("int8",)),)

    def look_ups(self, work: Work[Table]) -> int:
        return 1

    def may_replace(self, work: Work[Table], index: int) -> bool:
        return True  # an element is read before the one at its place is written

    def emit(self, context: CallContext[Table]) -> KernelCall:
        table = context.constant("table", context.op.table, "output level of input level -128 and up")
        elements = context.output.elements
        return KernelCall((table,), (), (table.name, elements, context.input_pointers[0], context.output_pointer))


class PairTableKernels(Tabled[PairTable]):
    """`stq_pair_table_s8`."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_pair_table_s8", ("int8",)),)

    def look_ups(self, work: Work[PairTable]) -> int:
        return 1

    def may_replace(self, work: Work[PairTable], index: int) -> bool:
        return True  # as in a table of one tensor

    def emit(self, context: CallContext[PairTable]) -> KernelCall:
        a, b = context.inputs
        a_levels, b_levels = context.op.table.shape
        note = f"output level for {a_levels} levels of the first input, {b_levels} of the second"
        table = context.constant("table", context.op.table, note)
        row = fields(a_minimum=a.minimum, b_minimum=b.minimum, b_levels=b_levels)
        elements = context.output.elements
        arguments: tuple[Value, ...] = (
            "&params",
            table.name,
            elements,
            *context.input_pointers,
            context.output_pointer,
        )
        return KernelCall((table,), (Struct("stq_pair_table_params", "params", (row,)),), arguments)


class CurveKernels(Tabled[Curve]):
    """`stq_curve`: sigmoid and tanh that no quantizer rounds."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_curve", ANY_TYPE),)

    def look_ups(self, work: Work[Curve]) -> int:
        return 3 if work.op.shift else 1  # a parabola through three entries, or an entry

    def may_replace(self, work: Work[Curve], index: int) -> bool:
        return False

    def emit(self, context: CallContext[Curve]) -> KernelCall:
        op, (x,), output = context.op, context.inputs, context.output
        note = f"from level {op.base} on, {1 << op.shift} apart"
        table = context.constant("table", op.table, note)
        row = fields(
            input_type=STQ_TYPES[x.dtype], output_type=STQ_TYPES[output.dtype], entries=len(op.table), base=op.base,
            shift=op.shift, minimum=output.minimum, maximum=output.maximum,
        )  # fmt: skip
        arguments = ("&params", table.name, x.elements, context.input_pointers[0], context.output_pointer)
        return KernelCall((table,), (Struct("stq_curve_params", "params", (row,)),), arguments)
