"""Batch normalization folded into weights, as QKeras's Batchnorm layers do at inference: in float32, by TensorFlow.

The result equals that of QKeras's `get_folded_weights`. Its settings `folding_mode` and `ema_freeze_delay` choose the
statistics that the layer folds in training; at inference these are always the moving ones.
"""

from __future__ import annotations

import numpy as np

from stq_deploy.common.tensorflow_import import import_tensorflow
from stq_deploy.frontend.source import BatchNormFold, FloatArray, FloatBias, FloatKernel


def folded_kernel(kernel: FloatKernel, depthwise: bool) -> FloatArray:
    """The kernel that QKeras quantizes, shaped like `kernel.values`.

    Args:
        depthwise: the kernel is (kh, kw, channels, multiplier), with an output for each of the last two.
    """
    if kernel.fold is None:
        return kernel.values
    factor = _factor(kernel.fold)
    return (factor.reshape(kernel.values.shape[-2:]) if depthwise else factor) * kernel.values


def folded_bias(bias: FloatBias) -> FloatArray:
    """The bias that QKeras quantizes, (outputs,)."""
    if bias.fold is None:
        return bias.values
    return _factor(bias.fold) * (bias.values - bias.fold.mean) + bias.fold.beta


def _factor(fold: BatchNormFold) -> FloatArray:
    """`gamma / sqrt(variance + epsilon)`, (outputs,)."""
    tf = import_tensorflow("folding batch normalization into weights", instead="or give a converted .stq network")
    # TensorFlow's reciprocal square root begins with the processor's own approximation, which NumPy cannot ask for.
    with tf.device("/CPU:0"):
        inverse = tf.math.rsqrt(tf.constant(fold.variance) + fold.epsilon)
    return np.asarray(inverse, np.float32) * fold.gamma
