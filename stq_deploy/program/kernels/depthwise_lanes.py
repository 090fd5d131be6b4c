"""Depthwise convolutions on lanes of bytes: weights -1, 0 and 1, and levels of few bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import DepthwiseConvolve
from stq_deploy.program.kernels.call import CallContext, KernelCall
from stq_deploy.program.kernels.convolve import convolution_call
from stq_deploy.program.kernels.gather import with_levels
from stq_deploy.program.kernels.requantized import requantize_reads
from stq_deploy.program.kernels.spec import WEIGHT_NAMES, Instance, Kernel, Refusal, Traffic
from stq_deploy.program.kernels.weighted import Weighted
from stq_deploy.program.kernels.windows import covered_bytes
from stq_deploy.program.kernels.work import Work

QUAD = 4
"""Channels of a word, and neighbouring pixels that are summed at once (STQ_QUAD)."""
PLANE_WORDS = 1024
"""Words of a plane, unless one row of outputs needs more (STQ_PLANE_WORDS)."""
TAP_WORDS = 3
"""Words of a tap (STQ_TAP_WORDS)."""
LEVEL_WORDS = 256
"""Words of the levels of every sum of bytes, for a quad (STQ_LEVEL_WORDS)."""
_FULL_BYTE = 255

Pair = tuple[int, int]


@dataclass(frozen=True)
class LanesLayer:
    """A depthwise convolution as the kernel sees it: `stq_nn_depthwise8.h` again; pairs are (vertical, horizontal).

    Attributes:
        output_size: rows and columns.
        kernel, stride, dilation: of the window.
    """

    output_size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair

    @property
    def padded(self) -> int:
        """Outputs of a row, rounded up to whole quads."""
        return -(-self.output_size[1] // QUAD) * QUAD

    @property
    def columns(self) -> int:
        """Words of a row of the plane."""
        return (self.padded - 1) * self.stride[1] + (self.kernel[1] - 1) * self.dilation[1] + 1

    @property
    def _reach(self) -> int:
        return (self.kernel[0] - 1) * self.dilation[0] + 1

    @property
    def band(self) -> int:
        """Output rows that are processed together."""
        rows = PLANE_WORDS // self.columns
        band = 1 if rows < self._reach else (rows - self._reach) // self.stride[0] + 1
        return min(band, self.output_size[0])

    @property
    def bands(self) -> int:
        return -(-self.output_size[0] // self.band)

    @property
    def plane_words(self) -> int:
        return ((self.band - 1) * self.stride[0] + self._reach) * self.columns

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch memory."""
        taps = self.kernel[0] * self.kernel[1] + 1
        return 4 * (self.plane_words + self.padded + TAP_WORDS * taps + LEVEL_WORDS)


class DepthwiseLanesKernels(Weighted[DepthwiseConvolve]):
    """`stq_depthwise8_*`: four channels lie in the bytes of a word, and their products are masked and added at once."""

    cycles_per_instruction = 0.74

    def kernels(self) -> tuple[Kernel, ...]:
        return tuple(
            Kernel(
                f"stq_depthwise8_{WEIGHT_NAMES[bits]}_s8",
                ("int8",),
                bits,
                Instance("stq_depthwise8_core.h", "STQ_DEFINE_DEPTHWISE8", (str(bits),)),
            )
            for bits in (1, 2)
        )

    def rows(self, op: DepthwiseConvolve) -> npt.NDArray[np.int64]:
        """A row for each kernel tap, in (kernel row, kernel column) order; its elements are output channels."""
        return op.weights_by_output().T

    def layer(self, work: Work[DepthwiseConvolve]) -> LanesLayer:
        """The geometry of the op's planes."""
        window = work.op.window
        height, width, _ = work.output.shape
        return LanesLayer((height, width), window.size, window.stride, window.dilation)

    def limits(self, work: Work[DepthwiseConvolve]) -> Refusal | None:
        refusal = super().limits(work)
        if refusal is not None:
            return refusal
        (x,), window, rows = work.inputs, work.op.window, self.rows(work.op)
        if work.output.channels != x.channels:
            return Refusal("it gives several channels for each of its input", "a depth multiplier")
        if int(rows.min()) < -1:
            return Refusal("it has weights of -2", "lanes are for weights -1, 0 and 1")
        full = (1 << (x.maximum - x.minimum).bit_length()) - 1
        most = int(np.count_nonzero(rows, axis=0).max()) * max(full, 1)
        if most > _FULL_BYTE:
            return Refusal(f"its sums of up to {most} leave a byte", "many taps, or many levels")
        padded = any(window.pad_before + window.pad_after)
        if padded and not x.minimum <= x.zero_point <= x.maximum:
            return Refusal("no level of its input stands for padding", "the input has a zero point beyond its levels")
        return None

    def scratch_bytes(self, work: Work[DepthwiseConvolve]) -> int:
        return self.layer(work).scratch_bytes

    def traffic(self, work: Work[DepthwiseConvolve]) -> Traffic:
        layer, (x,), output = self.layer(work), work.inputs, work.output
        quads, row_words = -(-output.channels // QUAD), layer.output_size[0] * layer.padded
        taps = self._taps(work) / quads
        planes = 4 * quads * layer.bands * layer.plane_words
        summed = 4 * quads * row_words * (taps * (1 + TAP_WORDS / QUAD) + 2)
        reads = requantize_reads(work.op.requantize, output)
        return Traffic(
            min(planes, covered_bytes(work.op.window, x, x.channels)) + output.bytes,
            round(planes + summed),
            4 * quads * self.rows(work.op).shape[0] + reads,
        )

    def instructions(self, work: Work[DepthwiseConvolve]) -> int:
        layer, output = self.layer(work), work.output
        quads, fours = -(-output.channels // QUAD), layer.output_size[0] * layer.padded // QUAD
        summed = fours * (20 * self._taps(work) + 18 * quads)
        pixels, form = layer.output_size[0] * layer.output_size[1], work.op.requantize
        whole = output.channels // QUAD
        if form.kind == "keep" and output.dtype != "int32":
            store = 9 * pixels * whole
        elif output.dtype == "int8":
            # Other forms than tables are computed once for each sum, where there are fewer of them than of pixels.
            entries = 0 if form.kind == "table" else min(pixels, 100)
            store = (17 * pixels + 100 * entries) * whole
        else:
            store = 80 * pixels * whole
        store += 80 * pixels * (quads - whole)
        filled = 7 * quads * layer.bands * layer.plane_words
        rows = layer.output_size[0]
        return summed + store + filled + (40 * len(self.rows(work.op)) + 40 * rows + 500) * quads

    def code(self, kernel: Kernel) -> dict[str, int]:
        return {kernel.function: 60, "depthwise, lanes of bytes": 2_200}

    def may_replace(self, work: Work[DepthwiseConvolve], index: int) -> bool:
        return False

    def emit(self, context: CallContext[DepthwiseConvolve]) -> KernelCall:
        call = convolution_call(self, context, context.output.channels, context.op.requantize)
        return with_levels(call, context.inputs[0])

    def _taps(self, work: Work[DepthwiseConvolve]) -> int:
        """Taps of all quads that have a weight that is not 0."""
        rows = self.rows(work.op)
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % QUAD)))
        return int(np.count_nonzero(rows.reshape(len(rows), -1, QUAD).any(axis=2)))
