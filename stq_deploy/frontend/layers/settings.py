"""The settings of one layer, each from an allow-list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import Setting
from stq_deploy.frontend.errors import shown, unsupported
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.quantizers import Quantizer, Role, read_quantizer
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
QUANTIZED_DENSE = "quantized>Dense"
"""The class's name here; Keras 3 calls it Dense, and its dtype policy tells how it is quantized."""
_OTHER_FLOATS = ("float16", "bfloat16", "float64")


class LayerSettings:
    """The settings of one layer; whatever no method has taken is refused by `finish`.

    Attributes:
        quantizers: role -> text, for the layer table.
        policy: Keras's dtype policy of the layer: "float32", "mixed_float16" or "mixed_bfloat16"; its variables are
            float32 in any case.
        checked: `CheckedLayer.settings`, as far as the handler has taken them.
    """

    def __init__(self, layer: LayerConfig) -> None:
        self.layer = layer
        self.quantizers: dict[str, str] = {}
        self.checked: dict[str, Setting] = {}
        self._taken = set(_WITHOUT_EFFECT)
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
                f"dtype={stated}: Keras 3 has quantized it; only Dense of int8 or int4/N from float32 is read so",
                "save the model as it was before model.quantize, and convert that with --post-training int8",
            )
        return str(self.take("dtype", one_of(*POLICIES), "float32"))

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def in_rows(self) -> bool:
        """Whether the layer is one of Keras's 1-D ones: it works on (length, channels), an image of one row here."""
        return self.layer.kind.endswith("1D")

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

    def finish(self) -> None:
        """Refuse unknown settings: they may change the computation."""
        unknown = sorted(set(self.layer.config) - self._taken)
        if unknown:
            value = self.layer.config[unknown[0]]
            raise self.error(
                f"the setting {shown(unknown[0])}={shown(value)} is unknown",
                "save the model with tf_keras 2 and qkeras 0.9",
            )
