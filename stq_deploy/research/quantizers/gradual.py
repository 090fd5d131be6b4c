"""Gradual stochastic quantization: a growing share of every kernel's rows quantized, the rest in full precision.

Dong et al., "Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization", BMVC 2017, arXiv:1708.01001.
A row W_i makes one output channel. Every training step draws the rows to quantize anew, layer by layer:

- quantization error   e_i = |W_i - Q_i|_1 / |W_i|_1
- probability          p_i = f_i / sum f, with f_i = 1 / (e_i + 1e-7): the paper's linear function, its best
- roulette             share * rows of them, one after the other, each by p among the remaining ones

The share is the stage's (in the paper 0.5, 0.75, 0.875, 1). Outside training every row is quantized.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from stq_deploy.research.quantizers import noise
from stq_deploy.research.quantizers.stochastic import choose, drawing

_EPSILON = 1e-7
_KERNELS = (
    ("kernel_quantizer_internal", "kernel", -1),
    ("depthwise_quantizer_internal", "depthwise_kernel", 2),
    ("pointwise_quantizer_internal", "pointwise_kernel", -1),
)
"""Attributes of QKeras layers: a kernel's quantizer, and the kernel; and the axis of its rows."""


class GradualQuantization:
    """Wraps the kernel quantizers of a built model's layers until it is removed.

    Remove it before the model is saved: a model file only knows the quantizers.
    """

    def __init__(self, model: Any) -> None:
        self._replaced: list[tuple[Any, str, GradualQuantizer, Any]] = []
        for layer in model.layers:
            for name, kernel, axis in _KERNELS:
                quantizer = getattr(layer, name, None)
                if quantizer is not None:
                    gradual = GradualQuantizer(quantizer, axis)
                    setattr(layer, name, gradual)
                    self._replaced.append((layer, name, gradual, getattr(layer, kernel)))

    def quantized_share(self) -> float:
        """The share of all kernels' weights that a training step quantizes now."""
        total = quantized = 0
        for _, _, gradual, kernel in self._replaced:
            rows, size = kernel.shape[gradual.axis], int(np.prod(kernel.shape))
            quantized += size // rows * int(_rows_to_quantize(rows))
            total += size
        return quantized / max(total, 1)

    def remove(self) -> None:
        """Give the layers their own quantizers back."""
        for layer, name, gradual, _ in self._replaced:
            setattr(layer, name, gradual.quantizer)


class GradualQuantizer:
    """A kernel quantizer that quantizes only the rows drawn in this step: x float32, its rows along `axis`.

    The gradient of a quantized row is the quantizer's; that of the others is 1.
    """

    def __init__(self, quantizer: Any, axis: int) -> None:
        self.quantizer = quantizer
        self.axis = axis

    def __call__(self, x: Any) -> Any:
        return choose(drawing(), lambda: self._hybrid(x), lambda: self.quantizer(x))

    def _hybrid(self, x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        with noise.deterministic():  # rows are quantized to the quantizer's settled values
            quantized = self.quantizer(x)
        shape = [1] * len(x.shape)
        shape[self.axis] = x.shape[self.axis]
        return tf.where(tf.reshape(self._drawn(x, quantized), shape), quantized, x)

    def _drawn(self, x: Any, quantized: Any) -> Any:
        """Mask of the rows to quantize now: (rows,) bool, the stage's share of them true."""
        axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
        error = tf.reduce_sum(tf.abs(x - quantized), axes) / (tf.reduce_sum(tf.abs(x), axes) + _EPSILON)
        rows = x.shape[self.axis]
        # Roulette without replacement is the order of log f + Gumbel noise (Yellott 1977).
        gumbel = -tf.math.log(-tf.math.log(noise.uniform([rows])))
        keys = tf.stop_gradient(gumbel - tf.math.log(error + _EPSILON))
        rank = tf.argsort(tf.argsort(keys, direction="DESCENDING"))
        return rank < _rows_to_quantize(rows)


def _rows_to_quantize(rows: int) -> Any:
    """The stage's share of `rows`, rounded to the nearest row: scalar int32."""
    return tf.cast(tf.round(noise.share() * rows), tf.int32)
