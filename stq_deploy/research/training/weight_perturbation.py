"""Adversarial weight perturbation (Wu, Xia & Wang 2020, arXiv:2004.05884): a step's gradient is taken at worse weights.

Each kernel w is first moved along the gradient g of the loss by gamma |w| g / |g|, norms over the whole kernel. The
gradient there updates the original kernel. Such steps find flat regions of the loss. Biases and batch norms are not
moved. For a few-bit kernel the latent weights are moved, and the quantized ones decide the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_EPSILON = 1e-12

Gradients = Callable[[], tuple[Any, Sequence[Any]]]
"""() -> (anything, the gradients of the variables at their present values)."""


def gradients_at_worse_weights(gradients: Gradients, variables: Sequence[Any], gamma: float) -> tuple[Any, Any]:
    """`gradients()` where the loss is higher; for use in a compiled function. `variables` are restored."""
    _, rising = gradients()
    kernels = [(variable, rise) for variable, rise in zip(variables, rising, strict=True) if len(variable.shape) > 1]
    kept = [tf.identity(variable) for variable, _ in kernels]
    for (variable, rise), value in zip(kernels, kept, strict=True):
        variable.assign(value + gamma * tf.norm(value) * rise / (tf.norm(rise) + _EPSILON))
    found = gradients()
    for (variable, _), value in zip(kernels, kept, strict=True):
        variable.assign(value)
    return found
