"""Noise that host and device draw alike."""

from __future__ import annotations

from stq_deploy.network.noise import noise_table
from stq_deploy.network.ops.noise import FreshNoise
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, KernelCall, Struct, Value, fields
from stq_deploy.program.kernels.spec import ANY_TYPE, Kernel, KernelSpec, Refusal, Traffic
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout

_LARGEST_LEVEL = 1 << 30
_THRESHOLD_BYTES = 4
COUNTER = "network->noise_counter"
"""The argument by which the kernel gets the number of the inference."""


class NoiseKernels(KernelSpec[FreshNoise]):
    """`stq_noise`."""

    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_noise", ANY_TYPE),)

    def limits(self, work: Work[FreshNoise]) -> Refusal | None:
        if max(-work.output.minimum, work.output.maximum) > _LARGEST_LEVEL:
            return Refusal("a level with noise may leave 32 bits", "the noise stands behind a layer of int32 levels")
        return None

    def weights(self, work: Work[FreshNoise]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[FreshNoise]) -> int:
        return noise_table(work.op.sigma).thresholds.nbytes

    def scratch_bytes(self, work: Work[FreshNoise]) -> int:
        return 0

    def traffic(self, work: Work[FreshNoise]) -> Traffic:
        searched = len(noise_table(work.op.sigma).thresholds).bit_length()  # most steps of a binary search
        moved = work.inputs[0].bytes + work.output.bytes
        return Traffic(moved, 0, searched * _THRESHOLD_BYTES * work.output.elements)

    def may_replace(self, work: Work[FreshNoise], index: int) -> bool:
        return True  # an element is read before the one at its place is written

    def emit(self, context: CallContext[FreshNoise]) -> KernelCall:
        op, output = context.op, context.output
        thresholds = noise_table(op.sigma).thresholds
        table = context.constant("thresholds", thresholds, f"sizes of noise of {op.sigma:g} levels")
        has_noise = len(thresholds) > 0
        rows = (
            fields(seed_low=_word(op.seed & 0xFFFFFFFF), seed_high=_word(op.seed >> 32)),
            fields(minimum=output.minimum, maximum=output.maximum, type=STQ_TYPES[output.dtype]),
            fields(threshold_count=len(thresholds), thresholds=table.name if has_noise else "NULL"),
        )
        arguments: tuple[Value, ...] = (
            "&params", COUNTER, output.elements, context.input_pointers[0], context.output_pointer,
        )  # fmt: skip
        return KernelCall((table,) if has_noise else (), (Struct("stq_noise_params", "params", rows),), arguments)


def _word(number: int) -> str:
    """A C constant of type uint32_t."""
    return f"0x{number:08x}u"
