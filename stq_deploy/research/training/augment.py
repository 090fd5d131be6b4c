"""Augmentation in numpy: cheap enough for one helper thread, and exactly repeatable from its generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.research.training.recipe import Recipe

_PAD = 4
_PADS = {"crop": (_PAD, _PAD), "crop-flip": (_PAD, _PAD), "time-shift": (_PAD, 0)}
"""Rows and columns of padding on each side."""


class Augmenter:
    """Makes training batches from samples `x` (N, H, W, C), uint8 or float32, and labels `y` (N,), by a recipe.

    - crop pads 4 pixels around, mirrored at the edge, and takes a random HxW window; crop-flip also mirrors every
      second picture (He et al. 2015); time-shift moves the rows, which are moments of a sound, by up to 4, repeating
      the edge's.
    - cutout sets a square around a random point to the mean sample (DeVries & Taylor 2017).
    - mixup mixes each sample and its label with another's of the batch, m to 1 - m. One m ~ Beta(a, a) is drawn per
        batch (Zhang et al. 2018).
    - label smoothing takes a share of every label and spreads it over all classes (Szegedy et al. 2016).

    Nothing is filled with zeros, because samples are not centred on them. Black borders and holes would shift the batch
    norms' statistics away from those of whole pictures. A few-bit network then loses much accuracy
    (docs/experiments/2026-11-stq.md).
    """

    def __init__(self, x: NDArray[Any], y: NDArray[np.int64], classes: int, recipe: Recipe) -> None:
        self._x = x
        self._recipe = recipe
        smooth = recipe.label_smoothing
        self._mean = _mean_sample(x)
        self._labels = (np.eye(classes) * (1.0 - smooth) + smooth / classes).astype(np.float32)[y]
        self._windows: NDArray[Any] | None = None
        if recipe.augment != "none":
            rows, columns = _PADS[recipe.augment]
            mode: Any = "edge" if recipe.augment == "time-shift" else "reflect"
            padded = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode)
            # (N, 2P+1, 2P+1, C, H, W): every window, as a view without copies
            self._windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[1:3], axis=(1, 2))

    def __len__(self) -> int:
        return len(self._x)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The samples at `indices`, augmented with numbers from `rng`, in the source's dtype; labels (N, classes)."""
        x = self._x[indices] if self._windows is None else self._window(indices, rng)
        y = self._labels[indices]
        if self._recipe.cutout:
            x = _cut(x, self._recipe.cutout, self._mean, rng)
        if self._recipe.mixup:
            x, y = _mix(x, y, self._recipe.mixup, rng)
        return x, y

    def _window(self, indices: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
        assert self._windows is not None
        count = len(indices)
        rows = rng.integers(0, self._windows.shape[1], count)
        columns = rng.integers(0, self._windows.shape[2], count)
        pictures = np.moveaxis(self._windows[indices, rows, columns], 1, -1)
        if self._recipe.augment != "crop-flip":
            return pictures
        flip = rng.random(count) < 0.5
        return np.where(flip[:, None, None, None], pictures[:, :, ::-1], pictures)


def _mean_sample(x: NDArray[Any]) -> NDArray[Any]:
    """(H, W, C), in the samples' dtype."""
    mean: NDArray[np.float64] = x.mean(axis=0, dtype=np.float64)
    return np.rint(mean).astype(np.uint8) if x.dtype == np.uint8 else mean.astype(x.dtype)


def _cut(x: NDArray[Any], side: int, fill: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The square's centre is anywhere in the picture, so part of it may be outside."""
    count, height, width, _ = x.shape
    top = rng.integers(0, height, (count, 1)) - side // 2
    left = rng.integers(0, width, (count, 1)) - side // 2
    rows, columns = np.arange(height), np.arange(width)
    inside_rows = (rows >= top) & (rows < top + side)
    inside_columns = (columns >= left) & (columns < left + side)
    hole = inside_rows[:, :, None, None] & inside_columns[:, None, :, None]
    return np.where(hole, fill, x)


def _mix(
    x: NDArray[Any], y: NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    share = np.float32(rng.beta(alpha, alpha))
    other = rng.permutation(len(x))
    mixed = share * x.astype(np.float32) + (1 - share) * x[other].astype(np.float32)
    if x.dtype == np.uint8:
        mixed = np.rint(mixed)
    return mixed.astype(x.dtype), share * y + (1 - share) * y[other]
