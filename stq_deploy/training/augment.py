"""Augmentation in numpy: cheap enough for one helper thread, and exactly repeatable from its generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PAD = 4


class Augmenter:
    """Makes training batches out of `x` (N, H, W, C): as they are, or cropped and flipped at random.

    crop-flip pads 4 zero pixels around, takes a random HxW window and mirrors every second picture (He et al.
    2015).
    """

    def __init__(self, x: NDArray[Any], kind: str) -> None:
        self._x = x
        self._windows: NDArray[Any] | None = None
        if kind == "crop-flip":
            padded = np.pad(x, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)))
            # (N, 2P+1, 2P+1, C, H, W): every window, as a view that copies nothing
            self._windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[1:3], axis=(1, 2))

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
        """The pictures at `indices`, augmented with numbers from `rng`; same dtype as the source."""
        if self._windows is None:
            return self._x[indices]
        count = len(indices)
        rows = rng.integers(0, 2 * _PAD + 1, count)
        columns = rng.integers(0, 2 * _PAD + 1, count)
        flip = rng.random(count) < 0.5
        pictures = np.moveaxis(self._windows[indices, rows, columns], 1, -1)
        return np.where(flip[:, None, None, None], pictures[:, :, ::-1], pictures)
