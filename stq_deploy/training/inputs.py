"""Samples to network input, inside a compiled function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def to_input(x: Any) -> Any:
    """float32 network input from a batch (N, H, W, C): uint8 levels / 255, float features as they are."""
    if x.dtype == tf.uint8:
        return tf.cast(x, tf.float32) / 255.0
    return tf.cast(x, tf.float32)
