"""Max and average pooling."""

from __future__ import annotations

from stq_deploy.network.ops import AveragePool, MaxPool, Window
from stq_deploy.network.tensor import fits
from stq_deploy.program.kernels.call import (
    SCRATCH,
    STQ_TYPES,
    CallContext,
    KernelCall,
    Row,
    Struct,
    fields,
    image_dims,
)
from stq_deploy.program.kernels.requantized import (
    REQUANTIZE,
    accumulator_traffic,
    channel_block_scratch,
    requantize_call,
    requantize_limits,
    requantize_reads,
)
from stq_deploy.program.kernels.spec import (
    ANY_TYPE,
    C_TYPES,
    ELEMENT_NAMES,
    Instance,
    Kernel,
    KernelSpec,
    Refusal,
    Traffic,
)
from stq_deploy.program.kernels.windows import covered_bytes, reads_ahead, window_note
from stq_deploy.program.kernels.work import AnyOp, Work
from stq_deploy.program.weights import WeightLayout


class MaxPoolKernels(KernelSpec[MaxPool]):
    """`stq_max_pool_*`."""

    def kernels(self) -> tuple[Kernel, ...]:
        return _for_every_type(self.op.kind)

    def limits(self, work: Work[MaxPool]) -> Refusal | None:
        return None

    def weights(self, work: Work[MaxPool]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[MaxPool]) -> int:
        return 0

    def scratch_bytes(self, work: Work[MaxPool]) -> int:
        return 0

    def traffic(self, work: Work[MaxPool]) -> Traffic:
        (x,), output = work.inputs, work.output
        return Traffic(covered_bytes(work.op.window, x, output.channels) + output.bytes, 0, 0)

    def may_replace(self, work: Work[MaxPool], index: int) -> bool:
        return reads_ahead(work.op.window, work.inputs[0], work.output)

    def emit(self, context: CallContext[MaxPool]) -> KernelCall:
        window = context.op.window
        structs = (Struct("stq_pool_params", "params", _window_rows(window)), *_dims(context))
        arguments = ("&params", "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer)
        return KernelCall((), structs, arguments, (window_note(window),))


class AveragePoolKernels(KernelSpec[AveragePool]):
    """`stq_average_pool_*`: a block of channels is summed, then requantized."""

    def kernels(self) -> tuple[Kernel, ...]:
        return _for_every_type(self.op.kind)

    def limits(self, work: Work[AveragePool]) -> Refusal | None:
        if not fits("int32", work.op.multiple(work.inputs[0])):
            return Refusal(
                "its windows' sizes have no common multiple of 32 bits",
                "many windows are cut off at the image's edge, each in its own way",
            )
        return requantize_limits(work.op.requantize)

    def weights(self, work: Work[AveragePool]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[AveragePool]) -> int:
        return work.op.requantize.nbytes

    def scratch_bytes(self, work: Work[AveragePool]) -> int:
        return channel_block_scratch(work.output.channels)

    def traffic(self, work: Work[AveragePool]) -> Traffic:
        op, (x,), output = work.op, work.inputs, work.output
        return Traffic(
            covered_bytes(op.window, x, output.channels) + output.bytes,
            accumulator_traffic(output),
            requantize_reads(op.requantize, output),
        )

    def may_replace(self, work: Work[AveragePool], index: int) -> bool:
        (x,), output = work.inputs, work.output
        return output.element_bytes <= x.element_bytes and reads_ahead(work.op.window, x, output)

    def emit(self, context: CallContext[AveragePool]) -> KernelCall:
        op, (x,) = context.op, context.inputs
        tables, requantize = requantize_call(context, op.requantize)
        rows = (*_window_rows(op.window), fields(input_offset=-x.zero_point, multiple=op.multiple(x)))
        structs = (Struct("stq_pool_params", "params", rows), requantize, *_dims(context))
        arguments = (
            SCRATCH, "&params", REQUANTIZE, "&input_dims", context.input_pointers[0], "&output_dims",
            context.output_pointer,
        )  # fmt: skip
        return KernelCall(tables, structs, arguments, (window_note(op.window),))


def _for_every_type(kind: str) -> tuple[Kernel, ...]:
    core, macro = f"stq_{kind}_core.h", f"STQ_DEFINE_{kind.upper()}"
    return tuple(
        Kernel(
            f"stq_{kind}_{ELEMENT_NAMES[dtype]}",
            (dtype,),
            instance=Instance(core, macro, (C_TYPES[dtype], STQ_TYPES[dtype])),
        )
        for dtype in ANY_TYPE
    )


def _window_rows(window: Window) -> tuple[Row, ...]:
    return (
        fields(window_h=window.size[0], window_w=window.size[1]),
        fields(stride_h=window.stride[0], stride_w=window.stride[1]),
        fields(pad_top=window.pad_before[0], pad_left=window.pad_before[1]),
    )


def _dims(context: CallContext[AnyOp]) -> tuple[Struct, Struct]:
    return image_dims("input_dims", context.inputs[0].shape), image_dims("output_dims", context.output.shape)
