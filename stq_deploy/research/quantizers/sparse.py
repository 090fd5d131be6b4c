"""Kernels with a growing share of zeros, by gradual magnitude pruning.

Zhu and Gupta 2017, "To prune, or not to prune", arXiv:1710.01878. A mask hides the weights of smallest magnitude of a
kernel. The share of hidden weights after step t of a ramp of T steps is

    s (1 - (1 - t / T)^3)

with s the target. A hidden weight is 0 wherever the kernel is used, and its gradient is 0. It keeps its latent value,
so a later mask may show it again. After the ramp the masks stay as they are.

The kernels that skip zeros (`firmware_templates/kernels`) take time in proportion to the weights that are not zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import qkeras
import qkeras.quantizers as qk
import tensorflow as tf

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.research.quantizers import noise

_EVERY = 100
"""Steps between two masks, at most; the authors take 100 to 1000."""
_MASKS = 10
"""Masks during a ramp, at least, where it has so many steps."""
_PLACES = (
    ("kernel_quantizer_internal", "kernel"),
    ("pointwise_quantizer_internal", "pointwise_kernel"),
)
"""Attributes of QKeras layers: a kernel's quantizer, and the kernel."""


class SparseKernels:
    """Masks the kernels of a built model's layers until it is removed.

    Create it after every other change of the layers' quantizers. Remove it before the model is saved: a model file only
    knows the quantizers.

    Args:
        target: share of zeros, 0 to 1, of every convolution with ternary kernels, pointwise ones included and
            depthwise ones not; or layer -> share, for these layers alone. A separable convolution is pruned in its
            pointwise kernel.
        ramp: steps until the target is reached, at least 1.

    Raises:
        StqError: a layer does not exist, or has no kernel whose quantizer keeps a zero; or no kernel is ternary.
    """

    def __init__(self, model: Any, target: float | Mapping[str, float], ramp: int) -> None:
        self._ramp = max(ramp, 1)
        self._every = max(1, min(_EVERY, self._ramp // _MASKS))
        shares = _ternary_layers(model, target) if isinstance(target, float | int) else target
        self._kernels = [_masked(model, layer, share) for layer, share in shares.items()]
        self.variables = [kernel.mask for kernel in self._kernels]
        """The masks, part of a checkpoint."""

    def after(self, steps: int) -> None:
        """Mask anew where it is time, after so many steps (from 1) of the whole run."""
        if steps > self._ramp or (steps % self._every and steps != self._ramp):
            return
        for kernel in self._kernels:
            kernel.prune(grown(kernel.target, steps / self._ramp))

    def nonzero_share(self) -> float:
        """The share of the masked kernels' weights that are not zero as they would be deployed."""
        total = nonzero = 0
        for kernel in self._kernels:
            settled = kernel(kernel.variable).numpy()
            total += settled.size
            nonzero += int(np.count_nonzero(settled))
        return nonzero / total

    def remove(self) -> None:
        """Set the hidden weights to 0 for good, and give the layers their own quantizers back."""
        for kernel in self._kernels:
            kernel.variable.assign(kernel.variable * kernel.mask)
            setattr(kernel.layer, kernel.place, kernel.quantizer)


class _MaskedKernel:
    """A kernel's quantizer that sees 0, and gives 0, for hidden weights: x float32, the kernel."""

    def __init__(self, layer: Any, place: str, variable: Any, target: float) -> None:
        self.layer, self.place, self.variable, self.target = layer, place, variable, target
        self.quantizer = getattr(layer, place)
        self.mask = tf.Variable(tf.ones(variable.shape), trainable=False, name="stq_mask")
        setattr(layer, place, self)

    def __call__(self, x: Any) -> Any:
        # The second product hides what a stochastic quantizer draws for a 0, and stops its gradient.
        return self.quantizer(x * self.mask) * self.mask

    def prune(self, share: float) -> None:
        """Hide at least this share of the weights, the smallest of them."""
        self.mask.assign(smallest_hidden(self.variable.numpy(), share))


def grown(target: float, progress: float) -> float:
    """The share of zeros at `progress` (0 to 1) of the ramp: the authors' cubic function, from 0 to `target`."""
    return target * (1.0 - (1.0 - min(max(progress, 0.0), 1.0)) ** 3)


def smallest_hidden(weights: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """A mask of the weights' shape: 0 for the ceil(share x size) smallest magnitudes, else 1.

    Of equal magnitudes, the first ones get 0.
    """
    mask = np.ones(weights.size, np.float32)
    order = np.argsort(np.abs(weights).ravel(), kind="stable")
    mask[order[: math.ceil(round(share * weights.size, 6))]] = 0
    return mask.reshape(weights.shape)


def _places(layer: Any) -> Iterator[tuple[str, Any]]:
    """(attribute of the quantizer, kernel) of what can be pruned in `layer`."""
    for place, name in _PLACES:
        if getattr(layer, place, None) is not None:
            yield place, getattr(layer, name)


def _ternary_layers(model: Any, share: float) -> dict[str, float]:
    found = {}
    for layer in model.layers:
        if isinstance(layer, qkeras.QConv1D | qkeras.QConv2D | qkeras.QSeparableConv2D):
            for place, _ in _places(layer):
                quantizer = getattr(layer, place)
                if isinstance(getattr(quantizer, "quantizer", quantizer), qk.ternary | qk.stochastic_ternary):
                    found[layer.name] = share
    if not found:
        raise StqError(
            "the recipe asks for sparsity, but no convolution of the network has ternary weights",
            where="sparsity",
            next="train a ternary scheme (--scheme stq), or name the layers: sparsity = {conv2 = 0.8}",
        )
    return found


def _masked(model: Any, name: str, share: float) -> _MaskedKernel:
    layer = next((layer for layer in model.layers if layer.name == name), None)
    if layer is None:
        names = [layer.name for layer in model.layers if any(_places(layer))]
        raise no_such(f"sparsity names a layer {name!r} that the network does not have", name, names)
    place, variable = next(_places(layer), (None, None))
    if place is None or not _keeps_zeros(getattr(layer, place), variable):
        raise StqError(
            f"layer {name!r} cannot be made sparse",
            where="sparsity",
            cause="its kernel has no quantizer" if place is None else "its quantizer gives no weight the value 0",
            next="name layers whose kernels are ternary, or have 2, 4 or 8 bits",
        )
    return _MaskedKernel(layer, place, variable, share)


def _keeps_zeros(quantizer: Any, variable: Any) -> bool:
    """Whether zeros among the weights stay zeros: not those of a binary kernel."""
    half = smallest_hidden(variable.numpy(), 0.5)
    with noise.deterministic():
        return not np.any(quantizer(tf.constant(variable.numpy() * half)).numpy()[half == 0])
