"""Scratch bytes of the gather convolutions: `firmware_templates/kernels/include/internal/stq_nn_gather.h` again.

Planning needs no compiler, so the formulas exist twice; `tests/kernels/test_kernel_scratch.py` compares them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stq_deploy.program.weights import WeightPacking, unpacking_words

LANES = 8
"""Pixels of a unit (STQ_GATHER_LANES)."""
WORDS = 8
"""Words of the table that are summed at once (STQ_GATHER_WORDS)."""
SUM_WORDS = 16
"""Words of the sums of as many units (STQ_GATHER_SUM_WORDS)."""
LIST_SLACK = 16
"""Elements of a list beyond those listed (STQ_GATHER_LIST_SLACK)."""
READ_AHEAD = 2
"""Elements that are read behind the last one of a list (STQ_GATHER_READ_AHEAD)."""
CODE_WORDS = 256 * 4
"""Words of what four 2-bit weights stand for (STQ_GATHER_CODES * STQ_GATHER_CODE_WORDS)."""
LARGEST_OFFSET = 1 << 16
"""Units of bytes that an offset reaches, less one."""
LARGEST_DISTANCE = 1 << 15
"""The same where a list holds distances between offsets, which have a sign."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class GatherLayer:
    """A convolution as a gather kernel sees it; pairs are (vertical, horizontal).

    Attributes:
        input_shape, output_shape: (height, width, channels).
        kernel, stride, pad, dilation: of the window; `pad` is above and left.
        group_channels: input channels of a group.
        weight_bits: 1, 2 or 4.
        weight_offset: added to a weight to give its field (`program.weights.weight_offset`).
        lane_bytes: 1 or 2.
        input_bytes: bytes of an input level.
        packing: how the weights are stored.
    """

    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair
    group_channels: int
    weight_bits: int
    weight_offset: int
    lane_bytes: int
    input_bytes: int
    packing: WeightPacking = "fields"

    @property
    def weights(self) -> int:
        """Weights of an output channel."""
        return self.kernel[0] * self.kernel[1] * self.group_channels

    @property
    def pointwise(self) -> bool:
        """Whether rows do not matter, so that lanes are eight equal parts of the image."""
        return (
            self.kernel == (1, 1)
            and self.stride == (1, 1)
            and self.pad == (0, 0)
            and self.input_shape[:2] == self.output_shape[:2]
        )

    @property
    def units(self) -> Pair:
        """Rows and columns of output units."""
        height, width, _ = self.output_shape
        return (1, -(-height * width // LANES)) if self.pointwise else (-(-height // LANES), width)

    @property
    def together(self) -> int:
        """Units that are summed at once."""
        return WORDS // (2 * self.lane_bytes)

    @property
    def rounds(self) -> int:
        """How often a list is read for an output channel."""
        rows, columns = self.units
        return rows * -(-columns // self.together)

    @property
    def fills_lanes(self) -> bool:
        """Whether every lane of every round is a pixel of the output."""
        height, width, _ = self.output_shape
        return self.rounds * self.together * LANES == height * width

    def _steps(self, axis: int) -> tuple[int, int]:
        """Stride and dilation in rows (axis 0) or columns (1) of the table."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        step = stride if self.kernel[axis] == 1 else math.gcd(stride, dilation)
        return stride // step, dilation // step

    @property
    def row_units(self) -> int:
        """Units of one row and channel of the table."""
        stride, dilation = self._steps(1)
        return stride * (self.units[1] + (self.kernel[1] - 1) * dilation // stride)

    @property
    def table_units(self) -> int:
        """Units of the table."""
        stride, dilation = self._steps(0)
        rows = (self.units[0] - 1) * stride + (self.kernel[0] - 1) * dilation + 1
        return rows * self.input_shape[2] * self.row_units

    @property
    def table_bytes(self) -> int:
        """Bytes of the table, with the words that are read beyond its last unit."""
        return 4 * (self.table_units * 2 * self.lane_bytes + WORDS)

    @property
    def offsets_fit(self) -> bool:
        """Whether the offsets of all taps fit a halfword; the kernel refuses others."""
        rows = (self.kernel[0] - 1) * self._steps(0)[1] + 1
        largest = LARGEST_DISTANCE if self.weight_bits == 4 else LARGEST_OFFSET
        return rows * self.input_shape[2] * self.row_units * self.lane_bytes <= largest

    @property
    def by_code(self) -> bool:
        """Whether four weights are decoded at once."""
        return self.weight_bits == 2 and self.weight_offset == 1 and self.group_channels % 8 == 0

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch memory."""
        largest = 2 if self.weight_bits == 4 or (self.weight_bits == 2 and self.weight_offset == 2) else 1
        words = self.table_bytes // 4 + SUM_WORDS
        words += -(-self.input_shape[2] * self.input_bytes // 4)
        words += -(-(self.weights + READ_AHEAD) // 2) + -(-(largest * self.weights + LIST_SLACK) // 2)
        words += CODE_WORDS if self.by_code else 0
        words += self.rounds * SUM_WORDS if self.weight_bits == 1 else 0
        words += unpacking_words(self.packing, self.weights)
        return 4 * words
