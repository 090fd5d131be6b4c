"""What a handler works with: the settings of one layer, each taken off an allow-list, and the nodes it makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import shown, unsupported
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.quantizers import KERNEL_QUANTIZERS, Quantizer, read_quantizer
from stq_deploy.frontend.source import FloatArray, FloatKernel, Node

MAXIMUM_SIZE = 1 << 16
MAXIMUM_ELEMENTS = 1 << 24

# Settings that act in training only, or say nothing about the computation.
_WITHOUT_EFFECT = frozenset(
    {"name", "trainable", "batch_input_shape", "activity_regularizer"}
    | {f"{part}_range" for part in ("kernel", "bias", "depthwise")}  # deprecated in QKeras, which ignores them
    | {
        f"{part}_{what}"
        for part in ("kernel", "bias", "depthwise", "pointwise", "gamma", "beta")
        for what in ("initializer", "regularizer", "constraint")
    }
)

_QUANTIZED_KINDS = {
    "Conv2D": "QConv2D",
    "Dense": "QDense",
    "DepthwiseConv2D": "QDepthwiseConv2D",
    "SeparableConv2D": "QSeparableConv2D",
}
"""Keras's weighted layers -> QKeras's, which have the same settings, and quantizers besides."""

Arrays = Callable[[dict[str, tuple[int, ...]]], dict[str, FloatArray]]


class LayerReader:
    """One layer being imported.

    A handler takes every setting by a method below, adds nodes, and returns; `finish` then refuses whatever setting
    nobody took. Every method raises StqError naming layer, class, setting and a remedy.

    Attributes:
        inputs: (position, shape) of each node the layer reads.
        quantizers: role -> text, for the layer table.
    """

    def __init__(
        self,
        layer: LayerConfig,
        inputs: list[tuple[int, tuple[int, ...]]],
        arrays: Arrays,
        first_position: int,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.quantizers: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.biases: dict[int, tuple[FloatArray, Quantizer | None]] = {}
        self.parameters = 0
        self.macs = 0
        self._arrays = arrays
        self._first = first_position
        self._taken = set(_WITHOUT_EFFECT)
        self._unquantized: dict[str, str] = {}
        self.fixed("dtype", "float32")

    # Places in the graph

    @property
    def name(self) -> str:
        return self.layer.name

    def only_input(self) -> tuple[int, tuple[int, ...]]:
        """(position, shape) of the single input."""
        if len(self.inputs) != 1:
            raise self.error(f"the layer has {len(self.inputs)} inputs instead of 1", "connect exactly one input")
        return self.inputs[0]

    def image_input(self) -> tuple[int, tuple[int, int, int]]:
        """(position, (height, width, channels)) of the single input."""
        position, shape = self.only_input()
        if len(shape) != 3:
            raise self.error(
                f"its input has shape {shape} instead of (height, width, channels)",
                "reshape the input to an image",
            )
        return position, (shape[0], shape[1], shape[2])

    def add(self, node: Node) -> int:
        """Append a node; returns its position."""
        if any(n < 1 for n in node.shape) or math.prod(node.shape) > MAXIMUM_ELEMENTS:
            raise self.error(
                f"its output would have shape {shown(node.shape)}",
                f"keep every size at least 1 and the whole within {MAXIMUM_ELEMENTS} elements",
            )
        self.nodes.append(node)
        return self._first + len(self.nodes) - 1

    # Settings

    def error(self, what: str, next: str) -> StqError:
        """An error about this layer."""
        return unsupported(self.layer.name, self.layer.kind, what, next)

    def fixed(self, key: str, *allowed: Any) -> None:
        """The setting may be absent, or one of `allowed` (the first is the one to recommend)."""
        self._taken.add(key)
        value = self.layer.config.get(key, allowed[0])
        if not any(value == a and isinstance(value, bool) == isinstance(a, bool) for a in allowed):
            raise self.error(f"the setting {key}={shown(value)} is not supported", f"use {key}={allowed[0]!r}")

    def any_value(self, *keys: str) -> None:
        """Settings whose value changes nothing at inference."""
        self._taken.update(keys)

    def integer(self, key: str, default: int | None = None) -> int:
        """A setting from 1 to MAXIMUM_SIZE."""
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        if type(value) is not int or not 1 <= value <= MAXIMUM_SIZE:
            raise self.error(
                f"the setting {key}={shown(value)} is not usable", f"use a number from 1 to {MAXIMUM_SIZE}"
            )
        return value

    def number(self, key: str, default: float) -> float:
        """A finite real setting."""
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.error(f"the setting {key}={shown(value)} is not a number", f"use {key}={default}")
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"the setting {key}={shown(value)} is not True or False", f"use {key}={default}")
        return value

    def choice(self, key: str, *allowed: str) -> str:
        self._taken.add(key)
        value = self.layer.config.get(key)
        if value not in allowed or not isinstance(value, str):
            raise self.error(f"the setting {key}={shown(value)} is not supported", f"use one of: {', '.join(allowed)}")
        return value

    def pair(self, key: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Two sizes (vertical, horizontal)."""
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        value = [value, value] if type(value) is int else value
        if (
            not isinstance(value, list | tuple)
            or len(value) != 2
            or any(type(n) is not int or not 1 <= n <= MAXIMUM_SIZE for n in value)
        ):
            raise self.error(
                f"the setting {key}={shown(value)} is not usable", f"use two numbers from 1 to {MAXIMUM_SIZE}"
            )
        return value[0], value[1]

    def raw(self, key: str) -> Any:
        """A setting that the handler checks itself."""
        self._taken.add(key)
        return self.layer.config.get(key)

    def quantizer(self, key: str, allowed: tuple[str, ...]) -> Quantizer | None:
        """A quantizer, or None where the file has null."""
        value = self.raw(key)
        if value is None:
            return None
        try:
            quantizer = read_quantizer(value, allowed)
        except StqError as error:
            raise unsupported(self.name, self.layer.kind, f"{key}: {error.what}", error.next, error.cause) from error
        self.quantizers[key.removesuffix("_quantizer")] = str(quantizer)
        return quantizer

    # Weights

    @property
    def plain(self) -> bool:
        """Whether it is one of Keras's own weighted layers, which have no quantizers."""
        return self.layer.kind in _QUANTIZED_KINDS

    def kernel_quantizer(self, key: str, example: str) -> Quantizer | None:
        """The quantizer of a kernel; None if its weights are floating-point numbers, which `obstacle` then says."""
        quantizer = None if self.plain else self.quantizer(key, KERNEL_QUANTIZERS)
        if quantizer is None:
            self._unquantized[key] = example
        return quantizer

    @property
    def obstacle(self) -> StqError | None:
        """Why the layer, which Keras may run, cannot be converted: weights without a quantizer."""
        if not self._unquantized:
            return None
        settings = ", ".join(f'{key}="{example}"' for key, example in self._unquantized.items())
        if self.plain:
            quantized = _QUANTIZED_KINDS[self.layer.kind]
            return self.error("floating-point weights", f"use {quantized} with {settings}, and train again")
        return self.error(f"{next(iter(self._unquantized))} is None: floating-point weights", f"set {settings}")

    def add_kernel(self, position: int, values: FloatArray, quantizer: Quantizer | None) -> None:
        """Keep a node's weights to be quantized; without a quantizer there is nothing to convert them to."""
        if quantizer is not None:
            self.kernels[position] = FloatKernel(values, quantizer)

    def arrays(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, FloatArray]:
        """The layer's stored arrays, by name in Keras's order; counts the parameters."""
        if sum(math.prod(shape) for shape in shapes.values()) > MAXIMUM_ELEMENTS:
            raise self.error(f"its weights have the shapes {shown(shapes)}", f"stay below {MAXIMUM_ELEMENTS} weights")
        found = self._arrays(shapes)
        self.parameters += sum(a.size for a in found.values())
        return found

    def finish(self) -> None:
        """Refuse settings nobody knows: they may change the computation."""
        unknown = sorted(set(self.layer.config) - self._taken)
        if unknown:
            value = self.layer.config[unknown[0]]
            raise self.error(
                f"the setting {shown(unknown[0])}={shown(value)} is unknown",
                "save the model with tf_keras 2 and qkeras 0.9",
            )
