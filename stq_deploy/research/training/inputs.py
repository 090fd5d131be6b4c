"""Samples to network input, inside a compiled function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stq_deploy.research.quantizers import noise

GRAY_LEVELS = 255.0
"""Budgets and noise in recipes are in gray levels; pixels are in [0, 1]."""


def to_input(x: Any) -> Any:
    """float32 network input from a batch (N, H, W, C): uint8 levels / 255, float features unchanged."""
    if x.dtype == tf.uint8:
        return tf.cast(x, tf.float32) / 255.0
    return tf.cast(x, tf.float32)


def add_noise(inputs: Any, levels: float) -> Any:
    """`inputs`, pixels in [0, 1], with Gaussian noise of that standard deviation in gray levels.

    The sums are clipped to [0, 1], like a device's pixels. The noise comes from the run's own numbers.
    """
    return tf.clip_by_value(inputs + levels / GRAY_LEVELS * noise.normal(tf.shape(inputs)), 0.0, 1.0)
