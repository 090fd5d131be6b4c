"""Ops that treat every element alike and requantize: one tensor rescaled; sum, product or extreme of two."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

from stq_deploy.network.ops import ElementwiseOp, Multiply, Rescale, ScaledOp
from stq_deploy.network.tensor import TensorType, fits
from stq_deploy.program.kernels.call import SCRATCH, STQ_TYPES, CallContext, KernelCall, Row, Struct, Value, fields
from stq_deploy.program.kernels.requantized import (
    REQUANTIZE,
    accumulator_traffic,
    channel_block_scratch,
    requantize_call,
    requantize_limits,
    requantize_reads,
)
from stq_deploy.program.kernels.spec import ANY_TYPE, Instance, Kernel, KernelSpec, Refusal, Traffic
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout

AnyElementwise = TypeVar("AnyElementwise", bound=ElementwiseOp)


class Elementwise(KernelSpec[AnyElementwise]):
    """`stq_<kind>`, for any types of elements: a block of a pixel's channels is accumulated, then requantized."""

    @abstractmethod
    def params(self, work: Work[AnyElementwise]) -> Struct:
        """The parameter structure, called `params`."""

    def limits(self, work: Work[AnyElementwise]) -> Refusal | None:
        return requantize_limits(work.op.requantize)

    def weights(self, work: Work[AnyElementwise]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[AnyElementwise]) -> int:
        return work.op.requantize.nbytes

    def scratch_bytes(self, work: Work[AnyElementwise]) -> int:
        return channel_block_scratch(work.output.channels)

    def traffic(self, work: Work[AnyElementwise]) -> Traffic:
        moved = sum(t.bytes for t in work.inputs) + work.output.bytes
        constants = requantize_reads(work.op.requantize, work.output)
        return Traffic(moved, accumulator_traffic(work.output), constants)

    def may_replace(self, work: Work[AnyElementwise], index: int) -> bool:
        return work.output.element_bytes <= work.inputs[index].element_bytes

    def emit(self, context: CallContext[AnyElementwise]) -> KernelCall:
        tables, requantize = requantize_call(context, context.op.requantize)
        channels = context.output.channels
        params = self.params(context.work)
        arguments: tuple[Value, ...] = (
            SCRATCH, "&params", REQUANTIZE, context.output.elements // channels, channels, *context.input_pointers,
            context.output_pointer,
        )  # fmt: skip
        return KernelCall(tables, (params, requantize), arguments)


class RescaleKernels(Elementwise[Rescale]):
    """`stq_rescale`."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_rescale", ANY_TYPE),)

    def params(self, work: Work[Rescale]) -> Struct:
        (x,) = work.inputs
        row = fields(input_type=STQ_TYPES[x.dtype], input_offset=-x.zero_point)
        return Struct("stq_rescale_params", "params", (row,))


class TwoInputs(Elementwise[AnyElementwise]):
    """A family of two inputs, all of whose functions are made of one core."""

    def kernels(self) -> tuple[Kernel, ...]:
        kind = self.op.kind
        core = Instance("stq_elementwise_core.h", "STQ_DEFINE_ELEMENTWISE", (f"STQ_ELEMENTWISE_{kind.upper()}",))
        return (Kernel(f"stq_{kind}", ANY_TYPE, instance=core),)


class MultiplyKernels(TwoInputs[Multiply]):
    """`stq_multiply`."""

    def params(self, work: Work[Multiply]) -> Struct:
        return _two_inputs(work.inputs)


class ScaledKernels(TwoInputs[ScaledOp]):
    """`stq_add`, `stq_maximum` and `stq_minimum`, each input times an integer factor."""

    def params(self, work: Work[ScaledOp]) -> Struct:
        a_factor, b_factor = work.op.factors
        return _two_inputs(work.inputs, fields(a_factor=a_factor, b_factor=b_factor))

    def limits(self, work: Work[ScaledOp]) -> Refusal | None:
        return factor_limits(work.inputs, work.op.factors) or super().limits(work)


def factor_limits(inputs: tuple[TensorType, ...], factors: tuple[int, ...]) -> Refusal | None:
    """Why an input's factor leaves 32 bits; None if every level times its factor fits."""
    for t, factor in zip(inputs, factors, strict=True):
        terms = ((t.minimum - t.zero_point) * factor, (t.maximum - t.zero_point) * factor)
        if not fits("int32", factor, *terms):
            return Refusal(f"the factor {factor} overflows 32 bits", "the inputs' scales are too far apart")
    return None


def _two_inputs(inputs: tuple[TensorType, ...], *further: Row) -> Struct:
    a, b = inputs
    types = fields(a_type=STQ_TYPES[a.dtype], b_type=STQ_TYPES[b.dtype])
    offsets = fields(a_offset=-a.zero_point, b_offset=-b.zero_point)
    return Struct("stq_elementwise_params", "params", (types, offsets, *further))
