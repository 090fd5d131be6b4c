"""The identity gradient through a network's input quantizer, for attacks on it while it trains.

qkeras' gradient is 0 at the ends of the range, so that black and white pixels would never be attacked. The identity is
the backward pass differentiable approximation of Athalye et al. 2018 (arXiv:1802.00420). No weight precedes this
quantizer, so training itself does not change. None of this is saved, because QActivation saves its quantizer's *text*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qkeras
import tensorflow as tf


class _Straight:
    """A quantizer's values, with the gradient 1 everywhere."""

    def __init__(self, quantizer: Callable[[Any], Any]) -> None:
        self.straight_through = quantizer

    def __call__(self, x: Any) -> Any:
        return tf.custom_gradient(lambda x: (self.straight_through(x), lambda upstream: upstream))(x)


def pass_gradient_through_input(model: Any) -> int:
    """Give the quantizers that read `model`'s input the identity gradient; return how many there are.

    Call it after `use_fast_activations`, which checks the quantizers' classes.
    """
    count = 0
    for layer in model.layers:
        if isinstance(layer, qkeras.QActivation) and getattr(layer, "input", None) is model.input:
            layer.quantizer = _Straight(layer.quantizer)
            count += 1
    return count
