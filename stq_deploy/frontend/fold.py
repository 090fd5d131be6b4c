"""Batch normalization folded into weights, as QKeras's Batchnorm layers do at inference: in float32.

The result equals that of QKeras's `get_folded_weights`, where TensorFlow's own value does not depend on the processor
(`tensorflow_arithmetic.rsqrt`). Where it does, `processor_dependent` counts the weights that may differ. QKeras's
settings `folding_mode` and `ema_freeze_delay` choose the statistics that the layer folds in training; at inference
these are always the moving ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.source import BatchNormFold, FloatArray, FloatBias, FloatKernel
from stq_deploy.frontend.tensorflow_arithmetic import RSQRT_ULPS, flushed, shifted_rsqrt


def folded_kernel(kernel: FloatKernel, depthwise: bool, ulps: int = 0) -> FloatArray:
    """The kernel that QKeras quantizes, shaped like `kernel.values`.

    Args:
        depthwise: the kernel is (kh, kw, channels, multiplier), with an output for each of the last two.
        ulps: as in `shifted_rsqrt`.
    """
    if kernel.fold is None:
        return kernel.values
    factor = _factor(kernel.fold, ulps)
    return (factor.reshape(kernel.values.shape[-2:]) if depthwise else factor) * kernel.values


def folded_bias(bias: FloatBias, ulps: int = 0) -> FloatArray:
    """The bias that QKeras quantizes, (outputs,); `ulps` as in `shifted_rsqrt`."""
    if bias.fold is None:
        return bias.values
    return _factor(bias.fold, ulps) * (bias.values - bias.fold.mean) + bias.fold.beta


def processor_dependent(integers: Callable[[int], npt.NDArray[Any]]) -> int:
    """How many quantized numbers TensorFlow may give otherwise on another processor.

    Args:
        integers: the quantized numbers with `ulps` as in `folded_kernel`.
    """
    expected = integers(0)
    others = [integers(ulps) != expected for ulps in range(-RSQRT_ULPS, RSQRT_ULPS + 1) if ulps]
    return int(np.logical_or.reduce(others).sum())


def _factor(fold: BatchNormFold, ulps: int) -> FloatArray:
    """`gamma / sqrt(variance + epsilon)`, (outputs,)."""
    return shifted_rsqrt(flushed(fold.variance) + np.float32(fold.epsilon), ulps) * fold.gamma
