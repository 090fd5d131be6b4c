"""Make TensorFlow compute a quantizer as qkeras wrote it.

qkeras forms every quantized value as x + (q - x), to pass the gradient through. Evaluated in that order the
result is q exactly (Sterbenz' lemma: q is within a factor 2 of x, or 0). But TensorFlow's graph optimizer gathers such
additions into one AddN. Its order of summation depends on the free buffers: (x + q) - x is off by a rounding that
differs from run to run. Where the next quantizer meets an exact tie, as in 1/16 of the sums of our gated residuals,
that decides a whole level. We called the same `tf.function` twice on the same pictures with a quantized network. The
results differ in 690,000 activations of the first block alone, and in 5 % of the predicted classes.
"""

from __future__ import annotations

import tensorflow as tf


def keep_order_of_additions() -> None:
    """Turn off TensorFlow's arithmetic rewriting in this process. No measurable cost in speed.

    Call before a function is traced; `build_network` and `frontend.keras_model` do.
    """
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
