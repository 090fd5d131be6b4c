"""The object that a handler works with: the settings of one layer, each from an allow-list, and the nodes it makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import Setting
from stq_deploy.frontend.errors import shown, unsupported
from stq_deploy.frontend.fixed_point_weights import fixed_point_quantizer
from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.quantizers import KERNEL, Quantizer, Role, read_quantizer
from stq_deploy.frontend.source import BatchNormFold, FloatArray, FloatBias, FloatKernel, Node, ReshapeNode
from stq_deploy.frontend.values import AcceptedValues, flag, is_whole, one_of, real, whole

MAXIMUM_SIZE = 1 << 16
MAXIMUM_ELEMENTS = 1 << 24

# Settings that act in training only, or do not affect the computation.
_WITHOUT_EFFECT = frozenset(
    {"name", "trainable", "batch_input_shape", "activity_regularizer"}
    | {
        f"{part}_range" for part in ("kernel", "bias", "depthwise", "gamma", "beta")
    }  # deprecated in QKeras, which ignores them
    | {
        f"{part}_{what}"
        for part in ("kernel", "bias", "depthwise", "pointwise", "gamma", "beta", "alpha")
        for what in ("initializer", "regularizer", "constraint")
    }
)

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
"""The dtype policies whose variables are float32."""
_OTHER_FLOATS = ("float16", "bfloat16", "float64")

POST_TRAINING = "add --post-training int8 --calibrate SAMPLES.npz"

_QUANTIZED_KINDS = {
    "Conv1D": "QConv1D",
    "Conv2D": "QConv2D",
    "Dense": "QDense",
    "DepthwiseConv1D": "QDepthwiseConv2D, between Reshape layers to images of one row,",
    "DepthwiseConv2D": "QDepthwiseConv2D",
    "SeparableConv1D": "QSeparableConv1D",
    "SeparableConv2D": "QSeparableConv2D",
}
"""Keras's weighted layers -> QKeras's, which have the same settings and also quantizers."""

ReadArrays = Callable[[Shapes], dict[str, FloatArray]]


class LayerReader:
    """One layer being imported.

    A handler takes every setting by a method below, adds nodes, and returns. `finish` then refuses any setting that was
    not taken. Every method raises StqError naming layer, class, setting and a remedy.

    Attributes:
        inputs: (position, shape) of each node the layer reads.
        quantizers: role -> text, for the layer table.
        policy: Keras's dtype policy of the layer: "float32", "mixed_float16" or "mixed_bfloat16"; its variables are
            float32 in any case.
        checked, stored, unread: `CheckedLayer.settings`, `arrays` and `unread`, as far as the handler has taken them.
    """

    def __init__(
        self,
        layer: LayerConfig,
        inputs: list[tuple[int, tuple[int, ...]]],
        arrays: ReadArrays,
        first_position: int,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.quantizers: dict[str, str] = {}
        self.checked: dict[str, Setting] = {}
        self.stored: dict[str, FloatArray] = {}
        self.unread: frozenset[str] = frozenset()
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.biases: dict[int, FloatBias] = {}
        self.numbers: dict[int, dict[str, Quantizer]] = {}
        self.parameters = 0
        self.macs = 0
        self._arrays = arrays
        self._first = first_position
        self._taken = set(_WITHOUT_EFFECT)
        self._unquantized: dict[str, str] = {}
        self._undecided: list[str] = []
        self.policy = self._dtype_policy()

    def _dtype_policy(self) -> str:
        stated = self.layer.config.get("dtype", "float32")
        if stated in _OTHER_FLOATS:
            raise self.error(
                f"dtype={stated!r}: its variables are {stated} numbers, and float32 ones are read",
                "train with the policy mixed_float16 or mixed_bfloat16, whose variables are float32, or with float32",
            )
        if isinstance(stated, str) and "_from_" in stated:
            raise self.error(
                f"dtype={stated}: Keras 3 scales its input by the largest value of each sample; ranges here are fixed",
                "save the model as it was before model.quantize, and convert that with --post-training int8",
            )
        return str(self.take("dtype", one_of(*POLICIES), "float32"))

    # Places in the graph

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def in_rows(self) -> bool:
        """Whether the layer is one of Keras's 1-D ones: it works on (length, channels), an image of one row here."""
        return self.layer.kind.endswith("1D")

    def only_input(self) -> tuple[int, tuple[int, ...]]:
        """(position, shape) of the single input."""
        if len(self.inputs) != 1:
            raise self.error(f"the layer has {len(self.inputs)} inputs instead of 1", "connect exactly one input")
        return self.inputs[0]

    def image_input(self) -> tuple[int, tuple[int, int, int]]:
        """(position, (height, width, channels)) of the single input; of a 1-D layer, once it is an image."""
        position, shape = self.only_input()
        if len(shape) != 3 - self.in_rows:
            expected = "(length, channels)" if self.in_rows else "(height, width, channels)"
            raise self.error(f"its input has shape {shape} instead of {expected}", "put a Reshape before it")
        if self.in_rows:
            shape = (1, *shape)
            position = self.add(ReshapeNode(self.name, (position,), shape))
        return position, (shape[0], shape[1], shape[2])

    def image_output(self) -> None:
        """End a layer that began with `image_input`: the output of a 1-D layer is (length, channels) again."""
        if self.in_rows:
            position, shape = self.last
            self.add(ReshapeNode(self.name, (position,), shape[1:]))

    @property
    def next_position(self) -> int:
        """Position of the node that will be added next."""
        return self._first + len(self.nodes)

    @property
    def last(self) -> tuple[int, tuple[int, ...]]:
        """(position, shape) of the node added last."""
        return self._first + len(self.nodes) - 1, self.nodes[-1].shape

    def add(self, node: Node) -> int:
        """Append a node; returns its position."""
        if any(n < 1 for n in node.shape) or math.prod(node.shape) > MAXIMUM_ELEMENTS:
            raise self.error(
                f"its output would have shape {shown(node.shape)}",
                f"keep every size at least 1 and the whole within {MAXIMUM_ELEMENTS} elements",
            )
        self.nodes.append(node)
        return self._first + len(self.nodes) - 1

    def part(self, layer: LayerConfig, inputs: list[tuple[int, tuple[int, ...]]], arrays: ReadArrays) -> LayerReader:
        """A reader for the handler of another layer class, which does a part of this one; see `take_over`."""
        return LayerReader(layer, inputs, arrays, self.next_position)

    def take_over(self, within: LayerReader) -> None:
        """Take all that the handler of another layer has added, which is a part of this one."""
        self.nodes += within.nodes
        self.kernels |= within.kernels
        self.biases |= within.biases
        self.quantizers |= within.quantizers
        self.macs += within.macs
        self._unquantized |= within._unquantized

    # Settings

    def error(self, what: str, next: str) -> StqError:
        """An error about this layer."""
        return unsupported(self.layer.name, self.layer.kind, what, next)

    def take(self, key: str, values: AcceptedValues, default: Any = None) -> Any:
        """A setting; every other method for settings calls this one."""
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        if not values.accepts(value):
            raise self.error(f"the setting {key}={shown(value)} is not supported", f"set {key} to {values.shown}")
        self.keep(key, value)
        return value

    def keep(self, key: str, setting: Setting) -> None:
        """Keep an accepted setting in `checked` if the file states it; an absent setting has Keras's default."""
        if key in self.layer.config:
            self.checked[key] = setting

    def fixed(self, key: str, *allowed: Any) -> None:
        """The setting may be absent, or one of `allowed` (the first is the one to recommend)."""
        self.take(key, one_of(*allowed), allowed[0])

    def any_value(self, *keys: str) -> None:
        """Settings whose value changes nothing at inference."""
        self._taken.update(keys)

    def raw(self, key: str, shown: str) -> Any:
        """A setting that the handler checks itself; `shown` as in `AcceptedValues`."""
        return self.take(key, AcceptedValues(shown, lambda _: True, None))

    def integer(self, key: str, default: int | None = None) -> int:
        """A setting from 1 to MAXIMUM_SIZE."""
        return int(self.take(key, whole(1, MAXIMUM_SIZE), default))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A real setting in [low, high]."""
        return float(self.take(key, real(low, high), default))

    def boolean(self, key: str, default: bool) -> bool:
        return bool(self.take(key, flag(), default))

    def choice(self, key: str, *allowed: str) -> str:
        return str(self.take(key, one_of(*allowed)))

    def pair(self, key: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Two sizes (vertical, horizontal); a 1-D layer states the second one, and the first is 1.

        Args:
            default: where the setting is absent or null.
        """
        length = 2 - self.in_rows
        shown = f"{'a number' if self.in_rows else 'one or two numbers'} from 1 to {MAXIMUM_SIZE}"

        def accepts(value: Any) -> bool:
            if value is None:
                return default is not None
            listed = isinstance(value, list | tuple) and len(value) == length
            return all(is_whole(n, 1, MAXIMUM_SIZE) for n in (value if listed else [value]))

        value = self.take(key, AcceptedValues(shown, accepts, 1))
        if value is None and default is not None:
            return default
        sizes = tuple(value) if isinstance(value, list | tuple) else (value,) * length
        return (1, sizes[0]) if self.in_rows else (sizes[0], sizes[1])

    def sides(self, key: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns at ((top, bottom), (left, right)) of the image, >= 0; a 1-D layer states (left, right)."""
        one = AcceptedValues("", lambda v: is_whole(v, 0, MAXIMUM_SIZE), 1)

        def two(value: Any, each: Callable[[Any], bool]) -> bool:
            return isinstance(value, list | tuple) and len(value) == 2 and all(each(v) for v in value)

        def side(value: Any) -> bool:
            return one.accepts(value) or two(value, one.accepts)

        if self.in_rows:
            value = self.take(key, AcceptedValues("a number, or (left, right)", side, 1))
            value = (0, value)
        else:
            value = self.take(
                key, AcceptedValues("a number, (vertical, horizontal), or ((top, bottom), (left, right))",
                            lambda v: side(v) or two(v, side), 1),
            )  # fmt: skip
            value = (value, value) if isinstance(value, int) else value
        (top, bottom), (left, right) = ((n, n) if isinstance(n, int) else tuple(n) for n in value)
        return (top, bottom), (left, right)

    def sizes(self, key: str, shown: str, smallest: int, example: tuple[int, ...]) -> tuple[int, ...]:
        """One to four integers from `smallest` on; `shown` and `example` as in `AcceptedValues`."""

        def accepts(value: Any) -> bool:
            listed = isinstance(value, list | tuple) and 1 <= len(value) <= 4
            return listed and all(is_whole(n, smallest, MAXIMUM_ELEMENTS) for n in value)

        return tuple(self.take(key, AcceptedValues(shown, accepts, example)))

    def quantizer(self, key: str, role: Role, default: str | None = None) -> Quantizer | None:
        """A quantizer, or None where the file has null; `default` where the setting is absent."""
        self._taken.add(key)
        value = self.layer.config.get(key, default)
        if value is None:
            self.keep(key, None)
            return None
        try:
            quantizer = read_quantizer(value, role)
        except StqError as error:
            raise unsupported(self.name, self.layer.kind, f"{key}: {error.what}", error.next, error.cause) from error
        self.keep(key, quantizer)
        self.quantizers[key.removesuffix("_quantizer")] = str(quantizer)
        return quantizer

    def activation_setting(self) -> Any:
        """The setting `activation`: a quantizer or the name of a function, unchecked; None if there is none."""
        self._taken.add("activation")
        return self.layer.config.get("activation")

    # Weights

    @property
    def plain(self) -> bool:
        """Whether it is one of Keras's own weighted layers, which have no quantizers."""
        return self.layer.kind in _QUANTIZED_KINDS

    def kernel_quantizer(self, key: str, example: str) -> Quantizer | None:
        """The quantizer of a kernel; None if its weights are floating-point numbers.

        That sets `obstacle`, unless `add_kernel` then finds them to be fixed-point numbers as they are. Kernels are
        added in the order of their quantizers.
        """
        quantizer = None if self.plain else self.quantizer(key, KERNEL)
        if quantizer is None:
            self._unquantized[key] = example
            self._undecided.append(key)
        return quantizer

    @property
    def obstacle(self) -> StqError | None:
        """Why the layer cannot be converted although Keras can run it: weights without a quantizer."""
        if not self._unquantized:
            return None
        settings = ", ".join(f'{key}="{example}"' for key, example in self._unquantized.items())
        if self.plain:
            quantized = _QUANTIZED_KINDS[self.layer.kind]
            return self.error(
                "floating-point weights", f"{POST_TRAINING}, or use {quantized} with {settings}, and train again"
            )
        what = f"{next(iter(self._unquantized))} is None: floating-point weights"
        return self.error(what, f"{POST_TRAINING}, or set {settings}")

    def add_kernel(
        self,
        position: int,
        values: FloatArray,
        quantizer: Quantizer | None,
        shape: tuple[int, ...] | None = None,
        fold: BatchNormFold | None = None,
    ) -> None:
        """Keep a node's weights; `shape` is that of the node's kernel, where it is not stored in it.

        A QKeras layer without a quantizer may hold weights that are fixed-point numbers as they are; they convert
        exactly. Others without a quantizer wait for post-training quantization.
        """
        if quantizer is None:
            key = self._undecided.pop(0)
            quantizer = None if self.plain else fixed_point_quantizer(values, KERNEL.bits)
            if quantizer is not None:
                del self._unquantized[key]
                self.quantizers[key.removesuffix("_quantizer")] = str(quantizer)
        self.kernels[position] = FloatKernel(values, quantizer, shape or values.shape, fold)

    def arrays(self, shapes: Shapes) -> dict[str, FloatArray]:
        """The layer's stored arrays, by name in Keras's order; counts the parameters.

        Args:
            shapes: as for a `arrays.ArrayReader`.
        """
        if sum(math.prod(shape) for shape in shapes.values() if shape) > MAXIMUM_ELEMENTS:
            raise self.error(f"its weights have the shapes {shown(shapes)}", f"stay below {MAXIMUM_ELEMENTS} weights")
        found = self._arrays(shapes)
        self.parameters += sum(a.size for a in found.values())
        self.stored |= found
        self.unread |= {name for name, shape in shapes.items() if shape is None}
        return found

    def finish(self) -> None:
        """Refuse unknown settings: they may change the computation."""
        unknown = sorted(set(self.layer.config) - self._taken)
        if unknown:
            value = self.layer.config[unknown[0]]
            raise self.error(
                f"the setting {shown(unknown[0])}={shown(value)} is unknown",
                "save the model with tf_keras 2 and qkeras 0.9",
            )
