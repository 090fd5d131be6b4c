"""Fits a network's activations to their quantizers before it is trained from a floating-point twin's weights.

A ReLU's quantizer has a fixed range: `quantized_relu(4,2)` has 0 .. 3.75 in steps of 0.25. A twin's activations may be
far smaller, and most of them then become 0. ReLUs, poolings, sums and products with a gate preserve a factor. So the
batch norms before them can be scaled, and the layers after them divided, without changing the network's function. Nagel
et al. 2019 (arXiv:1906.04721) have the idea; here it is per tensor. Powers of two round no weight. The one with the
least
squared error of the quantized activations is chosen: it clips large activations in exchange for finer steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

EXPONENTS = range(-10, 11)
"""Exponents of the factors that are tried."""

_VALUES = 100_000
"""Number of a layer's activations used, drawn once."""

_LET_THROUGH = {
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Flatten",
    "Reshape",
    "Dropout",
    "ZeroPadding2D",
    "Cropping2D",
    "UpSampling2D",
    "ReLU",
    "Add",
    "Subtract",
    "Maximum",
    "Minimum",
    "Average",
    "Concatenate",
}


def fit_activations(model: Any, twin: Any, inputs: NDArray[np.float32]) -> dict[str, float]:
    """Scale `model`, which has `twin`'s weights, so that `twin`'s activations for `inputs` fit its ReLUs' quantizers.

    Args:
        model: a functional network, changed in place; layers named as `twin`'s, each used once.
        inputs: (N, ...) network input as in training.

    Returns:
        Batch norm -> factor, where the factor is not 1. Statistics of the following batch norms are scaled too, but not
        their epsilon, so a floating-point model's outputs may change a little.
    """
    groups = _RangeGroups(model)
    quantizers = {layer.name: layer.quantizer for layer in model.layers if _is_quantized(layer)}
    if not quantizers:
        return {}
    measured = tf_keras.Model(twin.input, {name: twin.get_layer(name).output for name in quantizers})
    random = np.random.default_rng(0)
    for name, values in measured.predict(inputs, verbose=0).items():
        drawn = random.choice(values.reshape(-1), min(values.size, _VALUES), replace=False)
        if drawn.any():
            groups.watch(model.get_layer(name).output, [_error(drawn, 2.0**e, quantizers[name]) for e in EXPONENTS])
    return groups.scale()


def _error(values: NDArray[np.float32], factor: float, quantizer: Any) -> float:
    """Squared error of `values` quantized after a multiplication by `factor`, relative to their square."""
    found = np.asarray(quantizer(tf.constant(values * np.float32(factor)))) / factor
    return float(np.square(found - values).mean() / np.square(values).mean())


def _is_quantized(layer: Any) -> bool:
    return type(getattr(layer, "quantizer", None)).__name__ == "quantized_relu"


def _is_relu(layer: Any) -> bool:
    return _is_quantized(layer) or getattr(getattr(layer, "activation", None), "__name__", "") == "relu"


@dataclass
class _RangeGroup:
    """Tensors that can only be scaled together."""

    norms: list[Any] = field(default_factory=list)
    divided: list[Any] = field(default_factory=list)  # layers whose kernels divide by the factor
    following: list[Any] = field(default_factory=list)  # batch norms whose statistics do
    errors: list[list[float]] = field(default_factory=list)  # by exponent, for each quantized tensor
    fixed: bool = False

    def take(self, other: _RangeGroup) -> None:
        self.norms += other.norms
        self.divided += other.divided
        self.following += other.following
        self.errors += other.errors
        self.fixed |= other.fixed


class _RangeGroups:
    def __init__(self, model: Any) -> None:
        self._of: dict[int, _RangeGroup] = {}
        self._consumers: dict[int, list[Any]] = {}
        for layer in model.layers:
            for tensor in _inputs(layer):
                self._consumers.setdefault(id(tensor), []).append(layer)
        for layer in model.layers:
            self._add(layer)
        self._fix(model.outputs)

    def watch(self, tensor: Any, errors: list[float]) -> None:
        """Record the error of `tensor` with each of `EXPONENTS`."""
        self._of[id(tensor)].errors.append(errors)

    def scale(self) -> dict[str, float]:
        """Apply every group's factor to the weights."""
        factors = {}
        for group in {id(group): group for group in self._of.values()}.values():
            if group.fixed or not group.errors:
                continue
            factor = 2.0 ** EXPONENTS[int(np.argmin(np.sum(group.errors, axis=0)))]
            if factor == 1.0:
                continue
            for norm in group.norms:
                _multiply(norm, {"gamma": factor, "beta": factor})
                factors[norm.name] = factor
            for norm in group.following:
                _multiply(norm, {"moving_mean": factor, "moving_variance": factor**2})
            for layer in group.divided:
                _divide_kernel(layer, factor)
        return factors

    def _add(self, layer: Any) -> None:
        inputs, outputs = _inputs(layer), _tensors(layer.output)
        kind = type(layer).__name__
        if kind.endswith("BatchNormalization"):
            self._join(outputs).norms.append(layer)
            if not layer.scale or not layer.center:
                self._fix(outputs)
            self._join(inputs).following.append(layer)
        elif kind in _LET_THROUGH or _is_relu(layer):
            self._join([*inputs, *outputs])
        elif kind == "Multiply":
            free = [tensor for tensor in inputs if not self._join([tensor]).fixed]
            if len(free) == 1:
                self._join([*free, *outputs])
            else:
                self._fix([*inputs, *outputs])
        elif any(len(weight.shape) > 1 for weight in layer.weights) and len(inputs) == 1:
            self._fix(outputs)
            group = self._join(inputs)
            following = [] if getattr(layer, "use_bias", True) else self._norms_after(layer.output)
            group.following += following
            group.divided += [] if following else [layer]
        else:
            self._fix([*inputs, *outputs])

    def _norms_after(self, tensor: Any) -> list[Any]:
        """The batch norms that read `tensor`, if nothing else does."""
        layers = self._consumers.get(id(tensor), [])
        return layers if all(type(layer).__name__.endswith("BatchNormalization") for layer in layers) else []

    def _fix(self, tensors: Iterable[Any]) -> None:
        for tensor in tensors:
            self._join([tensor]).fixed = True

    def _join(self, tensors: list[Any]) -> _RangeGroup:
        first = self._of.setdefault(id(tensors[0]), _RangeGroup())
        for tensor in tensors[1:]:
            other = self._of.setdefault(id(tensor), first)
            if other is not first:
                first.take(other)
                self._of = {key: first if group is other else group for key, group in self._of.items()}
        return first


def _inputs(layer: Any) -> list[Any]:
    return [] if type(layer).__name__ == "InputLayer" else _tensors(layer.input)


def _tensors(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _multiply(layer: Any, factors: dict[str, float]) -> None:
    for name, factor in factors.items():
        weight = getattr(layer, name)
        weight.assign(weight * factor)


def _divide_kernel(layer: Any, factor: float) -> None:
    """The depthwise kernel for a separable convolution, because it comes first."""
    weight = next(weight for weight in layer.weights if len(weight.shape) > 1)
    weight.assign(weight / factor)
