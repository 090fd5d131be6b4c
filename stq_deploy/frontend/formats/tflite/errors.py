"""The error for a .tflite file that cannot be read."""

from __future__ import annotations

from stq_deploy.common.errors import StqError


def damaged(detail: str) -> StqError:
    """A file that contradicts itself; a caller that knows the path adds it with `located`."""
    return StqError(
        f"this is not a usable TensorFlow Lite model: {detail}",
        cause="the file is truncated, damaged, or not written by TensorFlow Lite's converter",
        next="copy the file again, or convert the model again with tf.lite.TFLiteConverter",
    )
