"""Sliding windows: the geometry that convolution, depthwise convolution and pooling share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch
from stq_deploy.network.tensor import MAXIMUM_ELEMENTS, TensorType, fits


@dataclass(frozen=True)
class Window:
    """A window over (height, width); every pair is (vertical, horizontal).

    Attributes:
        size, stride, dilation: >= 1.
        pad_before, pad_after: rows/columns of padding at the top/left and at the bottom/right.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad_before: tuple[int, int] = (0, 0)
    pad_after: tuple[int, int] = (0, 0)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output; may be <= 0 for a window larger than its padded input."""

        def along(i: int, n: int) -> int:
            reach = (self.size[i] - 1) * self.dilation[i] + 1
            return (n + self.pad_before[i] + self.pad_after[i] - reach) // self.stride[i] + 1

        return along(0, height), along(1, width)

    def check(self, image: tuple[int, ...]) -> None:
        """ValueError on sizes that no window over `image` (height, width, channels) can have."""
        require(all(n >= 1 for n in (*self.size, *self.stride, *self.dilation)), "a window size is below 1")
        require(all(n >= 0 for n in (*self.pad_before, *self.pad_after)), "a window padding is negative")
        fits_32 = all(fits("int32", n) for pair in (self.size, self.stride, self.dilation) for n in pair)
        require(fits_32, "a window size does not fit 32 bits")
        rows, columns = (n + b + a for n, b, a in zip(image, self.pad_before, self.pad_after, strict=False))
        require(rows * columns * image[-1] <= MAXIMUM_ELEMENTS, "the padded image is too large")

    @staticmethod
    def same_padding(
        input_size: tuple[int, int],
        size: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int] = (1, 1),
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """(pad_before, pad_after) of TensorFlow's "SAME": the odd row or column goes to the bottom and right."""
        before, after = [], []
        for n, k, s, d in zip(input_size, size, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return (before[0], before[1]), (after[0], after[1])

    def slide(self, x: Batch, fill: int) -> npt.NDArray[np.int64]:
        """(N, H, W, C) -> (N, OH, OW, KH, KW, C): every window, the padding filled with `fill`."""
        (top, left), (bottom, right) = self.pad_before, self.pad_after
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
        reach = tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))
        view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))  # N, OH, OW, C, KH, KW
        view = view[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return np.moveaxis(view, 3, 5)

    def count(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(OH, OW): number of elements of a (height, width) input that each window covers, without padding."""
        rows, columns = (self._covered(axis, n) for axis, n in enumerate((height, width)))
        return np.outer(rows, columns)

    def _covered(self, axis: int, size: int) -> npt.NDArray[np.int64]:
        """How many rows (axis 0) or columns (axis 1) of `size` each position of the window covers."""
        steps = self.output_size(size, size)[axis]
        first = np.arange(steps, dtype=np.int64) * self.stride[axis] - self.pad_before[axis]
        dilation, taps = self.dilation[axis], self.size[axis]
        below = np.clip(-(first // dilation), 0, taps)  # taps before the image: -first / dilation, rounded up
        above = np.clip((size - 1 - first) // dilation + 1, 0, taps)
        covered: npt.NDArray[np.int64] = np.maximum(above - below, 0)
        return covered


def check_pooling(window: Window, x: TensorType, output: TensorType) -> None:
    """ValueError unless `window` pools images of x's shape to output's, and is never wholly in the padding."""
    require(len(x.shape) == 3 and len(output.shape) == 3, "2-D pooling needs (height, width, channels)")
    window.check(x.shape)
    require(window.dilation == (1, 1), "a pooling window has gaps")
    require(
        all(p < k for pad in (window.pad_before, window.pad_after) for p, k in zip(pad, window.size, strict=True)),
        "a pooling window can lie wholly in the padding",
    )
    expected = (*window.output_size(x.shape[0], x.shape[1]), x.shape[2])
    require(output.shape == expected, f"output shape {output.shape} should be {expected}")
