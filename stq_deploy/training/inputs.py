"""Samples to network input, inside a compiled function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stq_deploy.quantizers import noise

GRAY_LEVELS = 255.0
"""Budgets and noise in recipes are in gray levels; pixels lie in [0, 1]."""


def to_input(x: Any) -> Any:
    """float32 network input from a batch (N, H, W, C): uint8 levels / 255, float features as they are."""
    if x.dtype == tf.uint8:
        return tf.cast(x, tf.float32) / 255.0
    return tf.cast(x, tf.float32)


def add_noise(inputs: Any, levels: float) -> Any:
    """`inputs`, pixels in [0, 1], with Gaussian noise of that standard deviation in gray levels.

    The sums are cut off at 0 and 1, as a device's pixels are. The numbers are the run's own.
    """
    return tf.clip_by_value(inputs + levels / GRAY_LEVELS * noise.normal(tf.shape(inputs)), 0.0, 1.0)
