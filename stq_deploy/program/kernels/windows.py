"""Facts that kernels with a window over an image share."""

from __future__ import annotations

import numpy as np

from stq_deploy.network import TensorType
from stq_deploy.network.ops import Window


def covered_elements(window: Window, x: TensorType, channels: int) -> int:
    """Elements of an image under all positions of a window, padding not counted, for `channels` channels."""
    height, width, _ = x.shape
    return int(window.count(height, width).sum()) * channels


def covered_bytes(window: Window, x: TensorType, channels: int) -> int:
    """Bytes of these elements."""
    return covered_elements(window, x, channels) * x.element_bytes


def reads_ahead(window: Window, x: TensorType, output: TensorType) -> bool:
    """Whether no window begins before the place of its own output, so that overwritten levels are not read again."""
    rows, columns = (
        np.maximum(np.arange(output.shape[i]) * window.stride[i] - window.pad_before[i], 0) for i in (0, 1)
    )
    first_read = rows[:, None] * x.shape[1] + columns
    written = np.arange(output.shape[0] * output.shape[1]).reshape(output.shape[:2])
    return bool((first_read >= written).all())


def window_note(window: Window) -> str:
    """The window for a comment."""
    return f"{window.size[0]}x{window.size[1]} window, stride {window.stride[0]}x{window.stride[1]}"
