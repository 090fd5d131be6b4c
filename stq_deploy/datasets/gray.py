"""Colour pictures to gray ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# ITU-R BT.601 luma, as PIL's convert("L") and OpenCV use it. The paper says only "converted to gray scale".
LUMA = (0.299, 0.587, 0.114)
_AT_A_TIME = 10_000


def rgb_to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(..., 3) RGB bytes -> (...) gray bytes: scaled to [0, 1], weighted by `LUMA`, rounded to the nearest
    1/255.

    Gray levels stay bytes because the device gets one byte per pixel.
    """
    gray: NDArray[Any] = (rgb.astype(np.float32) / np.float32(255.0)) @ np.array(LUMA, np.float32)
    return np.rint(gray * 255.0).astype(np.uint8)


def pictures_to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W, 3) RGB bytes -> (N, H, W, 1) gray bytes, by `rgb_to_gray`, in parts because floats need more memory."""
    gray = np.empty((*rgb.shape[:3], 1), np.uint8)
    for start in range(0, len(rgb), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        gray[part, ..., 0] = rgb_to_gray(rgb[part])
    return gray
