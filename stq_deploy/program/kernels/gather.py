"""Gather convolutions: weights of 1, 2 or 4 bits, of which only those that are not zero cost time.

Each packing of the weights is a family of its own, because its functions take other arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.packed_form import packed_form
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Convolve
from stq_deploy.network.requantize import Form
from stq_deploy.network.tensor import fits
from stq_deploy.program.coded_rows import MAXIMUM_GAP_WORDS
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, KernelCall, Struct, fields
from stq_deploy.program.kernels.convolve import convolution_call, group_notes
from stq_deploy.program.kernels.gather_layout import LANES, GatherLayer
from stq_deploy.program.kernels.requantized import requantize_reads
from stq_deploy.program.kernels.spec import C_TYPES, ELEMENT_NAMES, WEIGHT_NAMES, Instance, Kernel, Refusal, Traffic
from stq_deploy.program.kernels.weighted import Weighted
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout, WeightPacking, layout_of, may_be_coded

WIDTHS: dict[int, dict[str, tuple[int, ...]]] = {1: {"int8": (1, 2)}, 2: {"int8": (1, 2, 4), "int16": (1, 2)}}
"""Bytes of a lane -> storage type of the levels -> bits of a weight."""
MAXIMUM_SPAN = 31
"""Levels above the lowest up to which lanes of bytes pay: eight of them still add up within a byte."""
MAXIMUM_SCRATCH = 64 * 1024
"""A layer whose table takes more than this runs on another kernel: it would displace the arena from fast memory."""
_FULL_BYTE = 255
_FAST_BLOCK = 17
"""Entries of the block that the kernels sum fastest; larger blocks have 16, 32 ... more (`stq_gather_block`)."""
_ENTRY_BYTES = 34
"""Bytes that adding an entry reads: eight words, and its offset."""
_SUM_BYTES = 64
"""Bytes of the sums of a round."""


@dataclass(frozen=True)
class _Unpacking:
    """What unpacking a code costs, fitted to exact counts. Few of its instructions run side by side.

    Attributes:
        instructions, cycles: of a weight.
        first_instructions, first_cycles: of the pieces' table, once for each inference.
    """

    instructions: float
    cycles: float
    first_instructions: int
    first_cycles: int


_UNPACKING: dict[WeightPacking, _Unpacking] = {
    "fields": _Unpacking(0, 0, 0, 0),
    "trits": _Unpacking(4.2, 4.4, 2_500, 2_200),
    "gaps": _Unpacking(5.6, 5.8, 40_000, 32_000),
}
_DECODER_BYTES = {("fields", 1): 300, ("fields", 2): 650, ("fields", 4): 320, ("trits", 2): 150, ("gaps", 2): 300}
"""Packing and width of the weights -> bytes of the code that lists them."""


class GatherKernels(Weighted[Convolve]):
    """`stq_gather8_*` and `stq_gather16_*`: the weights of a row that are not zero are listed, and summed over pixels.

    Attributes:
        lane_bytes: bytes in which a pixel's level lies: 1 or 2.
        packing: how the weights are stored: fields, or a code of ternary ones.
    """

    cycles_per_instruction = 0.68

    def __init__(self, op: type[Convolve], lane_bytes: int, packing: WeightPacking = "fields") -> None:
        super().__init__(op)
        self.lane_bytes = lane_bytes
        self.packing = packing

    def kernels(self) -> tuple[Kernel, ...]:
        if self.packing != "fields":
            return tuple(
                Kernel(
                    f"stq_gather{8 * self.lane_bytes}_{self.packing}_{ELEMENT_NAMES[dtype]}",
                    (dtype,),
                    2,
                    Instance(
                        "stq_gather_core.h",
                        "STQ_DEFINE_CODED_GATHER",
                        (f"STQ_{self.packing.upper()}", str(self.lane_bytes), C_TYPES[dtype], STQ_TYPES[dtype]),
                    ),
                    self.packing,
                )
                for dtype in WIDTHS[self.lane_bytes]
            )
        return tuple(
            Kernel(
                f"stq_gather{8 * self.lane_bytes}_{WEIGHT_NAMES[bits]}_{ELEMENT_NAMES[dtype]}",
                (dtype,),
                bits,
                Instance(
                    "stq_gather_core.h",
                    "STQ_DEFINE_GATHER",
                    (str(bits), str(self.lane_bytes), C_TYPES[dtype], STQ_TYPES[dtype]),
                ),
            )
            for dtype, widths in WIDTHS[self.lane_bytes].items()
            for bits in widths
        )

    def rows(self, op: Convolve) -> npt.NDArray[np.int64]:
        """A row for each output channel, in (kernel row, kernel column, input channel of the group) order."""
        return op.weights_by_output()

    def weights(self, work: Work[Convolve]) -> WeightLayout:
        return _layout(work.op, self.packing)

    def layer(self, work: Work[Convolve]) -> GatherLayer:
        """The geometry of the op's table."""
        window, (x,) = work.op.window, work.inputs
        layout = self.weights(work)
        return GatherLayer(
            input_shape=_image(x),
            output_shape=_image(work.output),
            kernel=window.size,
            stride=window.stride,
            pad=window.pad_before,
            dilation=window.dilation,
            group_channels=work.op.weights.shape[2],
            weight_bits=layout.bits,
            weight_offset=layout.offset,
            lane_bytes=self.lane_bytes,
            input_bytes=x.element_bytes,
            packing=self.packing,
        )

    def form(self, work: Work[Convolve]) -> Form:
        """The requantization that the kernel applies: the packed form where it equals the certified one."""
        return _form(work.op, work.inputs[0])

    def limits(self, work: Work[Convolve]) -> Refusal | None:
        refusal = super().limits(work) or self._code_limits(work)
        if refusal is not None:
            return refusal
        (x,), layer = work.inputs, self.layer(work)
        low, high = work.op.accumulator_range(x)
        # No sum of a block of entries can leave its lane: a block has at most 255 / span entries. The kernel derives
        # that number from the same two levels. Only the whole sum remains to be proved.
        if not fits("int16", int(low.min()), int(high.max())):
            return Refusal(f"sums of {int(low.min())}..{int(high.max())} leave 16 bits", "a layer of many inputs")
        if self.lane_bytes == 1 and x.maximum - x.minimum > MAXIMUM_SPAN:
            return Refusal(f"its input has {x.maximum - x.minimum + 1} levels", "lanes of bytes are for few levels")
        window = work.op.window
        padded = any(window.pad_before + window.pad_after)
        if padded and not x.minimum <= x.zero_point <= x.maximum:
            return Refusal("no level of its input stands for padding", "the input has a zero point beyond its levels")
        if not layer.offsets_fit:
            return Refusal("its taps lie more than 64 Ki units apart", "a large image of many channels")
        if layer.scratch_bytes > MAXIMUM_SCRATCH:
            return Refusal(f"its table takes {layer.scratch_bytes:,} bytes", "a large image of many channels")
        return None

    def _code_limits(self, work: Work[Convolve]) -> Refusal | None:
        """Why the packing cannot hold the weights; None if it can."""
        if self.packing == "fields":
            return None
        if not may_be_coded(self.rows(work.op), work.op.weight_bits):
            return Refusal("it has weights of -2", "codes are for weights -1, 0 and 1")
        if self.weights(work).words > MAXIMUM_GAP_WORDS:
            return Refusal(f"its weights take {self.weights(work).bytes:,} bytes", "an enormous kernel")
        return None

    def table_bytes(self, work: Work[Convolve]) -> int:
        return self.form(work).nbytes

    def scratch_bytes(self, work: Work[Convolve]) -> int:
        return self.layer(work).scratch_bytes

    def may_replace(self, work: Work[Convolve], index: int) -> bool:
        # Every level that counts is in the table before the first output is written.
        return self.layer(work).table_bytes >= work.inputs[0].bytes

    def traffic(self, work: Work[Convolve]) -> Traffic:
        layer, form, (x,), output = self.layer(work), self.form(work), work.inputs, work.output
        entries, blocks = self._entries(work)
        table = layer.table_units * LANES
        sums = blocks * 2 * _SUM_BYTES + output.channels * 2 * _SUM_BYTES
        lists = output.channels * layer.weights * (7 if layer.by_code else 8)
        reads = output.channels * layer.rounds * 8 if form.kind == "packed" else requantize_reads(form, output)
        return Traffic(
            table * x.element_bytes + output.bytes,
            table * self.lane_bytes + layer.rounds * (entries * _ENTRY_BYTES + sums) + lists,
            self.weight_bytes(work) + reads,
        )

    def _of_fields(self, work: Work[Convolve]) -> int:
        """Estimated instructions without unpacking."""
        layer, output = self.layer(work), work.output
        entries, blocks = self._entries(work)
        if self.form(work).kind != "packed":
            store = 70 * output.elements
        elif layer.fills_lanes:
            store = 6 * output.elements
        else:
            store = 22 * output.elements
        decode = 3 if layer.by_code else {1: 22, 2: 12, 4: 18}[layer.weight_bits]
        decoded = decode * output.channels * layer.weights
        round_once = 250 if self.lane_bytes == 1 else 200
        entry, block, round_once = (20, 0, 150) if layer.weight_bits == 4 else (14, 60, round_once)
        summed = layer.rounds * (entry * entries + block * blocks + round_once * output.channels)
        places = layer.table_units // layer.input_shape[2]
        prepared = 250 * places + 12 * self.lane_bytes * layer.table_units + (9_000 if layer.by_code else 1_000)
        return summed + store + decoded + prepared

    def instructions(self, work: Work[Convolve]) -> int:
        unpacking = _UNPACKING[self.packing]
        unpacked = unpacking.instructions * work.op.weights.size + unpacking.first_instructions
        return self._of_fields(work) + round(unpacked)

    def cycles(self, work: Work[Convolve]) -> int:
        """Estimated cycles: those of the same kernel with fields, and of unpacking."""
        unpacking = _UNPACKING[self.packing]
        unpacked = unpacking.cycles * work.op.weights.size + unpacking.first_cycles
        return round(self.cycles_per_instruction * self._of_fields(work) + unpacked)

    def code(self, kernel: Kernel) -> dict[str, int]:
        return {
            kernel.function: 850,
            "gather": 4_700,
            f"gather, lanes of {self.lane_bytes}": 220,
            f"gather, fill {self.lane_bytes} {kernel.input_types[0]}": 800,
            f"gather, {kernel.packing} of {kernel.weight_bits} bits": _DECODER_BYTES[
                kernel.packing, kernel.weight_bits
            ],
        }

    def _entries(self, work: Work[Convolve]) -> tuple[int, int]:
        """Entries of all lists, and the blocks in which they are summed."""
        rows, x = self.rows(work.op), work.inputs[0]
        if work.op.weight_bits == 4:
            listed = (rows != 0).sum(axis=1)[None]
        elif work.op.weight_bits == 1:
            # The rarer weight is listed.
            listed = np.minimum((rows == 1).sum(axis=1), (rows != 1).sum(axis=1))[None]
        else:
            listed = np.stack([np.maximum(rows, 0).sum(axis=1), np.maximum(-rows, 0).sum(axis=1)])
        if self.lane_bytes == 2:
            return int(listed.sum()), int((listed > 0).sum())
        most = _FULL_BYTE // max(1, x.maximum - x.minimum)
        block = most if most < _FAST_BLOCK else (most - 1) // 16 * 16 + 1
        return int(listed.sum()), int((-(-listed // block)).sum())

    def emit(self, context: CallContext[Convolve]) -> KernelCall:
        (x,) = context.inputs
        depth, form = context.op.weights.shape[2], self.form(context.work)
        call = convolution_call(self, context, depth, form, group_notes(context))
        share = np.count_nonzero(context.op.weights) / context.op.weights.size
        notes = (*call.notes, f"{share:.0%} of them not 0") if context.op.weight_bits > 1 else call.notes
        return replace(with_levels(call, x), notes=notes)


def with_levels(call: KernelCall, x: TensorType) -> KernelCall:
    """The call of a convolution that also gets the smallest and the largest level of its input."""
    levels = fields(minimum=x.minimum, maximum=x.maximum)
    structs = tuple(
        Struct("stq_gather_params", s.name, (*(_within("window", row) for row in s.rows), levels))
        if isinstance(s, Struct) and s.c_type == "stq_conv_params"
        else s
        for s in call.structs
    )
    return replace(call, structs=structs)


def _within(outer: str, row: tuple[tuple[str, int | str], ...]) -> tuple[tuple[str, int | str], ...]:
    """The initializers of a structure inside another."""
    return tuple((f"{outer}.{name}", value) for name, value in row)


def _image(t: TensorType) -> tuple[int, int, int]:
    height, width, channels = t.shape
    return height, width, channels


@lru_cache(maxsize=256)
def _layout(op: Convolve, packing: WeightPacking) -> WeightLayout:
    """Found once for an op, not for each fact about its kernel. Ops are compared by identity."""
    return layout_of(op.weights_by_output(), op.weight_bits, packing)


@lru_cache(maxsize=256)
def _form(op: Convolve, x: TensorType) -> Form:
    """Searched once for an op, not for each fact about its kernel. Ops are compared by identity."""
    low, high = op.accumulator_range(x)
    found = packed_form(op.requantize, low, high)
    return op.requantize if found is None else found.requantize
