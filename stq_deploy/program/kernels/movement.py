"""Ops that move levels: padding, cropping, upsampling, concatenation."""

from __future__ import annotations

import math
from typing import TypeVar

from stq_deploy.network.ops import Concatenate, Crop, Op, Pad, Upsample
from stq_deploy.network.tensor import fits
from stq_deploy.program.kernels.call import (
    STQ_TYPES,
    CallContext,
    KernelCall,
    Row,
    Struct,
    StructArray,
    fields,
    image_dims,
)
from stq_deploy.program.kernels.elementwise import factor_limits
from stq_deploy.program.kernels.spec import ANY_TYPE, HAND_MADE, Kernel, KernelSpec, Refusal, Traffic
from stq_deploy.program.kernels.work import AnyOp, Work
from stq_deploy.program.weights import WeightLayout

AnyMovement = TypeVar("AnyMovement", bound=Op)


class Movement(KernelSpec[AnyMovement]):
    """`stq_<kind>`, for any types of elements: no constants and no scratch memory."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel(f"stq_{self.op.kind}", ANY_TYPE),)

    def limits(self, work: Work[AnyMovement]) -> Refusal | None:
        return None

    def weights(self, work: Work[AnyMovement]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[AnyMovement]) -> int:
        return 0

    def scratch_bytes(self, work: Work[AnyMovement]) -> int:
        return 0

    def traffic(self, work: Work[AnyMovement]) -> Traffic:
        return Traffic(sum(t.bytes for t in work.inputs) + work.output.bytes, 0, 0)

    def may_replace(self, work: Work[AnyMovement], index: int) -> bool:
        return False


class PadKernels(Movement[Pad]):
    """`stq_pad`."""

    def emit(self, context: CallContext[Pad]) -> KernelCall:
        op, output = context.op, context.output
        place = fields(top=op.before[0], left=op.before[1])
        rows = (fields(type=STQ_TYPES[output.dtype]), place, fields(level=output.zero_point))
        return _moving_image(context, Struct("stq_pad_params", "params", rows))


class CropKernels(Movement[Crop]):
    """`stq_crop`: rows are copied in ascending order, so the output may begin where the input does."""

    def traffic(self, work: Work[Crop]) -> Traffic:
        return Traffic(2 * work.output.bytes, 0, 0)

    def may_replace(self, work: Work[Crop], index: int) -> bool:
        return True

    def emit(self, context: CallContext[Crop]) -> KernelCall:
        before = context.op.before
        row = fields(type=STQ_TYPES[context.output.dtype], top=before[0], left=before[1])
        return _moving_image(context, Struct("stq_crop_params", "params", (row,)))


class UpsampleKernels(Movement[Upsample]):
    """`stq_upsample`."""

    def emit(self, context: CallContext[Upsample]) -> KernelCall:
        size = context.op.size
        row = fields(type=STQ_TYPES[context.output.dtype], size_h=size[0], size_w=size[1])
        params, dims = (
            Struct("stq_upsample_params", "params", (row,)),
            image_dims("input_dims", context.inputs[0].shape),
        )
        arguments = ("&params", "&input_dims", context.input_pointers[0], context.output_pointer)
        return KernelCall((), (params, dims), arguments)


class ConcatenateKernels(Movement[Concatenate]):
    """`stq_concatenate`, for inputs that cannot be adjacent in memory."""

    def limits(self, work: Work[Concatenate]) -> Refusal | None:
        zero_point = work.output.zero_point
        if not fits("int32", zero_point, -zero_point):
            return Refusal(f"the zero point {zero_point} does not fit 32 bits", HAND_MADE)
        return factor_limits(work.inputs, work.op.factors)

    def emit(self, context: CallContext[Concatenate]) -> KernelCall:
        op, output = context.op, context.output
        parts: list[Row] = [
            fields(
                levels=pointer,
                type=STQ_TYPES[x.dtype],
                elements=math.prod(x.shape[op.axis :]),
                input_offset=-x.zero_point,
                factor=factor,
            )
            for x, pointer, factor in zip(context.inputs, context.input_pointers, op.factors, strict=True)
        ]
        sizes = fields(parts=len(parts), rows=math.prod(output.shape[: op.axis]))
        form = fields(output_type=STQ_TYPES[output.dtype], output_offset=output.zero_point)
        structs = (
            Struct("stq_concatenate_params", "params", (sizes, form)),
            StructArray("stq_concatenate_part", "parts", tuple(parts)),
        )
        return KernelCall((), structs, ("&params", "parts", context.output_pointer), (f"along axis {op.axis}",))


def _moving_image(context: CallContext[AnyOp], params: Struct) -> KernelCall:
    dims = image_dims("input_dims", context.inputs[0].shape), image_dims("output_dims", context.output.shape)
    arguments = ("&params", "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer)
    return KernelCall((), (params, *dims), arguments)
