"""Random QKeras models, whole: a hypothesis strategy that draws recipes, and what builds them with Keras itself.

A recipe prints as the Python code that makes its model, so that a shrunk counterexample is easy to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stq_deploy.frontend.layers import supported_kinds

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]

ALPHAS = ["None", "1", "0.5", "0.3", "'auto'", "'auto_po2'"]


class QuantizerCode(str):
    """A quantizer as Python code; unlike a plain text, which QKeras parses, the model gets the object."""

    def __repr__(self) -> str:
        return str(self)

    def build(self) -> Any:
        """The quantizer; the code is this file's own."""
        import qkeras.quantizers

        return eval(self, vars(qkeras.quantizers) | {"quantized_linear": _quantized_linear()})


@cache
def _quantized_linear() -> Any:
    """What writes a model file with QKeras's quantized_linear, which qkeras 0.9.0 lacks."""
    import qkeras.quantizers

    class quantized_linear(qkeras.quantizers.quantized_bits):  # type: ignore[misc]  # qkeras has no types
        def get_config(self) -> dict[str, Any]:
            names = ("bits", "integer", "symmetric", "keep_negative", "alpha", "use_stochastic_rounding")
            return {name: value for name, value in super().get_config().items() if name in names}

    quantized_linear.__module__ = "qkeras.quantizers"
    return quantized_linear


@dataclass(frozen=True)
class Step:
    """One layer: its Keras or QKeras class, settings, and the values it reads; value 0 is the input."""

    layer: str
    settings: dict[str, Any]
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """A model: layer i of `steps` gives value i + 1; `seed` decides the weights.

    `nested`: whether the model is one layer of another model. `plain`: in floating point, for post-training
    quantization.
    """

    input_shape: Shape
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    seed: int
    nested: bool = False
    plain: bool = False

    def __repr__(self) -> str:
        lines = [f"x0 = Input({self.input_shape})" + "  # convert with --post-training int8" * self.plain]
        for i, step in enumerate(self.steps, 1):
            settings = ", ".join(f"{k}={v!r}" for k, v in step.settings.items())
            inputs = ", ".join(f"x{n}" for n in step.inputs)
            lines.append(f"x{i} = {step.layer}({settings})({f'[{inputs}]' if len(step.inputs) > 1 else inputs})")
        outputs = ", ".join(f"x{n}" for n in self.outputs)
        lines.append(f"model = Model(x0, [{outputs}])  # weights: seed {self.seed}")
        if self.nested:
            lines.append(f"x = Input({self.input_shape}); model = Model(x, model(x))")
        return "\n" + "\n".join(lines)

    @property
    def exact(self) -> bool:
        """Whether float32 computes it exactly: sums of few-bit powers of two, no batch norm, no true sigmoid."""
        if self.plain:
            return False
        text = repr(self)
        inexact = (
            "Batch", "quantized_linear", "real", "'auto'", "0.3", "0.2", "Average", "LeakyReLU", "hard", "smooth",
            "Separable", "14",
        )  # fmt: skip
        return not any(word in text for word in inexact)

    def layers(self) -> list[str]:
        """Class names of all layers; of activations that do not quantize, with their function."""
        names = ["InputLayer", *(step.layer for step in self.steps)]
        names += ["nested model"] * self.nested + ["post-training int8"] * self.plain
        for step in self.steps:
            function = step.settings.get("activation", "(")
            if "(" not in function:
                names.append(f"{step.layer}({function})")
        return names + ["several outputs"] * (len(self.outputs) > 1)

    def quantizers(self) -> list[str]:
        """Class names of all quantizers."""
        texts = [v for step in self.steps for k, v in step.settings.items() if isinstance(v, str) and "(" in v]
        return [text.split("(")[0] for text in texts]

    def build(self) -> Any:
        """The Keras model, with weights drawn from the seed."""
        import qkeras
        import tf_keras

        tf_keras.backend.clear_session()
        values = [tf_keras.Input(self.input_shape)]
        for step in self.steps:
            cls = getattr(qkeras, step.layer, None) or getattr(tf_keras.layers, step.layer)
            inputs = [values[n] for n in step.inputs]
            settings = {k: v.build() if isinstance(v, QuantizerCode) else v for k, v in step.settings.items()}
            values.append(cls(**settings)(inputs if len(inputs) > 1 else inputs[0]))
        model = tf_keras.Model(values[0], [values[n] for n in self.outputs])
        if self.nested:
            outer = tf_keras.Input(self.input_shape)
            model = tf_keras.Model(outer, model(outer))
        rng = np.random.default_rng(self.seed)
        for weight in model.weights:
            if weight.dtype.is_floating:
                weight.assign(_random_weight(rng, weight.name, tuple(weight.shape)))
        return model

    def save(self, path: Path) -> Path:
        """Write the model as .h5 or .keras."""
        self.build().save(path)
        return path


def _random_weight(rng: np.random.Generator, name: str, shape: Shape) -> np.ndarray:
    if "variance" in name:
        return rng.uniform(0.25, 2, shape)
    if "gamma" in name:
        return rng.uniform(0.5, 1.5, shape) * (1 if rng.random() < 0.7 else rng.choice([-1, 1], shape))
    return rng.normal(0, 0.5, shape)


@dataclass
class Value:
    """What a value may be used for.

    Attributes:
        levels: it is quantized, in at most 16 bits, with one scale.
        bent: a sigmoid, tanh or leaky relu is pending, so nothing but a quantizer may follow (or a maximum).
    """

    shape: Shape
    levels: bool = False
    bent: bool = False


@dataclass
class Drawer:
    """Draws one recipe, layer after layer."""

    draw: Draw
    plain: bool = False
    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    # Choices

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def one_of(self, items: list[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def maybe(self, settings: dict[str, Any]) -> dict[str, Any]:
        """A random subset of settings."""
        return {key: value for key, value in settings.items() if self.flag()}

    # Building

    def add(self, layer: str, inputs: tuple[int, ...], value: Value, **settings: Any) -> int:
        self.steps.append(Step(layer, settings, inputs))
        self.values.append(value)
        return len(self.values) - 1

    def usable(self, levels: bool, rank: int | None = None) -> list[int]:
        return [
            n for n, v in enumerate(self.values)
            if n and (v.levels or not levels) and (not v.bent or levels) and rank in (None, len(v.shape))
        ]  # fmt: skip

    def recipe(self, depth: int) -> Recipe:
        rank = self.one_of([3, 3, 2, 1])
        shape = {3: (self.integer(1, 7), self.integer(1, 7), self.integer(1, 5)),
                 2: (self.integer(1, 9), self.integer(1, 5)), 1: (self.integer(1, 12),)}[rank]  # fmt: skip
        self.values.append(Value(shape))
        here = self.add("QActivation", (0,), Value(shape, True), activation=self.activation(narrow=True))
        for _ in range(self.integer(1, depth)):
            here = self.step(here)
        outputs = [self.logits(here)]
        if self.integer(0, 4) == 4:
            other = self.one_of(self.usable(levels=False) or [here])
            if not self.values[other].bent and other not in outputs:
                outputs.append(other)
        steps = tuple(map(_plain_step, self.steps) if self.plain else self.steps)
        return Recipe(
            shape, steps, tuple(outputs), self.integer(0, 2**16), nested=self.integer(0, 7) == 7, plain=self.plain
        )

    def step(self, here: int) -> int:
        """One more layer after value `here`, or, now and then, after an earlier one."""
        if self.integer(0, 5) == 5:
            here = self.one_of(self.usable(levels=False) or [here])
        value = self.values[here]
        if value.bent:
            return self.quantize(here)
        choices = [self.quantize, self.function, self.norm, self.merge, self.movement, self.nothing]
        if len(value.shape) > 1:
            choices += [self.pool] * 2
        choices += [self.weighted] * (6 if value.levels else 1)
        return int(self.one_of(choices)(here))

    # Quantizers

    def alpha(self) -> str:
        return str(self.one_of(ALPHAS))

    def quantizer(self, choices: list[str]) -> str:
        """One of the codes, as a text or as code: both are how users write them."""
        code = str(self.one_of(choices))
        known = "None" not in code and "quantized_linear" not in code  # QKeras reads None in a text as a name
        as_text = known and self.flag()
        return code if as_text else QuantizerCode(code)

    def kernel(self) -> str:
        bits, alpha = self.integer(1, 8), self.alpha()
        fitted = alpha if bits > 1 else "1"  # QKeras fits no scale to quantized_bits(1): it gives NaN
        return self.quantizer(
            [
                f"ternary(alpha={alpha})",
                f"stochastic_ternary(alpha={alpha})",
                f"binary(alpha={alpha})",
                f"binary(use_01=True,alpha={self.one_of(['None', '1', '0.5'])})",
                f"stochastic_binary(alpha={alpha})",
                f"quantized_bits({bits},{self.integer(0, min(bits - 1, 2))},1,alpha={fitted})",
                f"quantized_linear({max(bits, 2)},{self.integer(0, 1)},1,alpha={alpha})",
                f"quantized_po2({self.integer(2, 4)})",
                f"quantized_relu_po2({self.integer(2, 4)})",
            ]
        )

    def bias(self) -> str | None:
        if self.flag():
            return None
        return self.quantizer(["quantized_bits(8,2,1,alpha=1)", "quantized_po2(4)", "ternary(alpha=1)"])

    def activation(self, narrow: bool = False) -> str:
        bits = self.integer(2, 8)
        whole = self.integer(0, min(4, bits - 1))
        choices = [
            f"quantized_relu({bits - 1},{whole})",
            f"quantized_bits({bits},{whole},1,alpha=1)",
            f"quantized_bits({bits},{whole},0)",
        ]
        if not narrow:
            choices += [
                f"quantized_relu({bits},{whole},negative_slope={self.one_of([0.5, 0.25, 0.125])})",
                f"quantized_relu({bits},{whole},1)",
                f"quantized_bits({bits},{whole},1,alpha=0.3)",
                f"quantized_tanh({bits})",
                f"quantized_tanh({bits},use_real_tanh=True)",
                f"quantized_sigmoid({bits})",
                f"quantized_sigmoid({bits},use_real_sigmoid=True)",
                f"quantized_linear({bits},{whole},{self.integer(0, 1)},alpha={self.one_of(['1', '0.5'])})",
                "ternary(alpha=1)",
                "binary(alpha=1)",
                "quantized_bits(1,0,1,alpha=1)",
                "quantized_bits(14,5,1,alpha=1)",
                "quantized_relu(12,4)",
            ]
        return self.quantizer(choices)

    def quantize(self, here: int) -> int:
        return self.add("QActivation", (here,), Value(self.values[here].shape, True), activation=self.activation())

    # Layers

    def weighted(self, here: int) -> int:
        shape = self.values[here].shape
        if len(shape) == 1 or self.integer(0, 6) == 6:
            return self.dense(here)
        return self.convolution(here, two_d=len(shape) == 3)

    def dense(self, here: int) -> int:
        units = self.integer(1, 6)
        shape = (*self.values[here].shape[:-1], units)
        return self.add_weighted("QDense", here, shape, units=units, kernel_quantizer=self.kernel())

    def add_weighted(self, layer: str, here: int, shape: Shape, **settings: Any) -> int:
        """A layer with weights, maybe a bias, maybe an activation."""
        settings["use_bias"] = self.flag()
        if settings["use_bias"]:
            settings["bias_quantizer"] = self.bias()
        activated = self.flag()
        if activated:
            settings["activation"] = self.activation()
        return self.add(layer, (here,), Value(shape, activated), **settings)

    def convolution(self, here: int, two_d: bool) -> int:
        shape = self.values[here].shape
        channels, size = shape[-1], self.sizes(shape, two_d)
        kinds = (
            ["QConv"] + ["QDepthwise"] * self.plain
            if not two_d
            else ["QConv", "QConv", "QDepthwise", "QSeparable", "QConvBN", "QDepthwiseBN"]
        )
        kind = self.one_of([k for k in (*kinds, "QSeparable") if _CONVOLUTIONS[k, two_d] in supported_kinds()])
        stride = self.integer(1, 2)
        dilation = self.integer(1, 2) if kind == "QConv" and stride == 1 else 1
        reach = [(k - 1) * dilation + 1 for k in size]
        valid = all(r <= n for r, n in zip(reach, shape, strict=False))
        padding = self.one_of(["same"] + ["valid"] * valid + ["causal"] * (kind == "QConv" and not two_d))
        spatial = [
            (n - r) // stride + 1 if padding == "valid" else -(-n // stride) for n, r in zip(shape, reach, strict=False)
        ]
        settings: dict[str, Any] = {"kernel_size": size if two_d else size[0], "strides": stride, "padding": padding}
        if dilation > 1:
            settings["dilation_rate"] = dilation
        filters, multiplier = self.integer(1, 6), self.integer(1, 2)
        if kind.endswith("BN"):
            settings["folding_mode"] = self.one_of(["ema_stats_folding", "batch_stats_folding"])
        if kind.startswith("QConv"):
            groups = self.one_of([g for g in (1, 1, 2, 3) if channels % g == 0]) if kind == "QConv" else 1
            if groups > 1:
                settings["groups"], filters = groups, filters * groups
            settings |= {"filters": filters, "kernel_quantizer": self.kernel()}
        elif kind == "QSeparable":
            settings |= {"filters": filters, "depth_multiplier": multiplier, "pointwise_quantizer": self.kernel()}
            settings["depthwise_quantizer"] = self.one_of(["ternary(alpha=1)", "quantized_bits(4,0,1,alpha=1)"])
        else:
            filters = channels * multiplier
            settings |= {"depth_multiplier": multiplier, "depthwise_quantizer": self.kernel()}
        return self.add_weighted(_CONVOLUTIONS[kind, two_d], here, (*spatial, filters), **settings)

    def sizes(self, shape: Shape, two_d: bool) -> tuple[int, ...]:
        return tuple(self.integer(1, min(3, n)) for n in shape[: 2 if two_d else 1])

    def function(self, here: int) -> int:
        value = self.values[here]
        kind = self.integer(0, 10)
        plain, bent = Value(value.shape), Value(value.shape, bent=True)
        if kind == 0:
            return self.add("ReLU", (here,), plain, **self.maybe({"max_value": 6.0}))
        if kind == 1:
            return self.add("LeakyReLU", (here,), bent, alpha=self.one_of([0.2, 0.25]))
        if kind == 2:
            return self.add("ReLU", (here,), bent, negative_slope=0.25)
        if kind == 9:
            return self.add("Activation", (here,), Value(value.shape, True), activation="softmax")
        if kind == 10:
            return self.add("Softmax", (here,), Value(value.shape, True))
        names = ["relu", "sigmoid", "tanh", "hard_sigmoid"]
        if kind < 7:
            name = names[kind - 3]
            return self.add("Activation", (here,), bent if name in ("sigmoid", "tanh") else plain, activation=name)
        name = self.one_of(["hard_sigmoid", "smooth_sigmoid", "hard_tanh", "smooth_tanh"])
        return self.add("QActivation", (here,), plain, activation=name)

    def norm(self, here: int) -> int:
        value = Value(self.values[here].shape)
        if "QBatchNormalization" not in supported_kinds() or self.flag():
            return self.add("BatchNormalization", (here,), value, **self.maybe({"scale": False, "center": False}))
        return self.add("QBatchNormalization", (here,), value)

    def nothing(self, here: int) -> int:
        value = self.values[here]
        names = ["Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity"]
        if len(value.shape) > 1:
            names.append(f"SpatialDropout{len(value.shape) - 1}D")
        name = self.one_of(names)
        return self.add(
            name, (here,), Value(value.shape, value.levels, value.bent), **_NOTHING.get(name, {"rate": 0.25})
        )

    def merge(self, here: int) -> int:
        shape = self.values[here].shape
        same = [n for n in self.usable(levels=False) if self.values[n].shape == shape]
        gates = [n for n in self.usable(levels=False) if self.values[n].shape == (1, 1, shape[-1])]
        if len(shape) == 3 and gates and self.flag():
            return self.add(self.one_of(["Add", "Multiply"]), (here, self.one_of(gates)), Value(shape))
        other = self.one_of(same)
        name = self.one_of(["Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Concatenate"])
        inputs = (here, other)
        if name not in ("Subtract", "Concatenate") and self.integer(0, 3) == 3:
            inputs = (*inputs, self.one_of(same))
        if name == "Concatenate":
            axis = self.integer(1, len(shape))
            joined = tuple(2 * n if i + 1 == axis else n for i, n in enumerate(shape))
            return self.add(name, inputs, Value(joined), axis=axis)
        return self.add(name, inputs, Value(shape))

    def pool(self, here: int) -> int:
        value = self.values[here]
        two_d = len(value.shape) == 3
        dims = "2D" if two_d else "1D"
        kind = self.one_of(["Max", "Max", "Average"] + ["QAverage"] * two_d)
        keeps = value.levels and kind == "Max"
        quantized, kind = ("Q", "Average") if kind == "QAverage" else ("", kind)
        settings: dict[str, Any] = {}
        if quantized:
            settings = {"average_quantizer": "quantized_bits(8,0,1,alpha=1)"}
            settings |= self.maybe({"activation": self.activation()})
            keeps = "activation" in settings
        if self.integer(0, 3) == 3:
            keepdims = self.flag()
            shape = (*(1,) * (len(value.shape) - 1), value.shape[-1]) if keepdims else value.shape[-1:]
            layer = f"{quantized}Global{kind}Pooling{dims}"
            return self.add(layer, (here,), Value(shape, keeps), keepdims=keepdims, **settings)
        size = self.sizes(value.shape, two_d)
        stride, padding = self.integer(1, 2), self.one_of(["same", "valid"])
        spatial = [
            -(-n // stride) if padding == "same" else (n - k) // stride + 1
            for n, k in zip(value.shape, size, strict=False)
        ]
        output = Value((*spatial, value.shape[-1]), keeps)
        pool_size = size if two_d else size[0]
        settings |= {"pool_size": pool_size, "strides": stride, "padding": padding}
        return self.add(f"{quantized}{kind}Pooling{dims}", (here,), output, **settings)

    def movement(self, here: int) -> int:
        value = self.values[here]
        shape = value.shape
        same = Value(shape, value.levels)
        dims = f"{len(shape) - 1}D"
        choices = ["Flatten", "Reshape"]
        if len(shape) > 1:
            choices += ["ZeroPadding", "Cropping", "UpSampling", "Permute"]
        kind = self.one_of(choices)
        spatial = shape[:-1]
        if math.prod(shape) > 500 or kind == "Flatten":
            same.shape = (math.prod(shape),)
            return self.add("Flatten", (here,), same)
        if kind == "Reshape":
            same.shape = self.one_of([(math.prod(shape),), (1, *shape)[:3] if len(shape) < 3 else (-1, shape[-1])])
            target = same.shape
            same.shape = tuple(math.prod(shape) // shape[-1] if n == -1 else n for n in target)
            return self.add("Reshape", (here,), same, target_shape=target)
        if kind == "Permute":
            singles = [i for i, n in enumerate(shape) if n == 1]
            order = list(range(len(shape)))
            if singles:
                axis = self.one_of(singles)
                order.remove(axis)
                order.insert(self.integer(0, len(order)), axis)
            same.shape = tuple(shape[i] for i in order)
            return self.add("Permute", (here,), same, dims=tuple(i + 1 for i in order))
        pairs = [(self.integer(0, 2), self.integer(0, 2)) for _ in spatial]
        if kind == "ZeroPadding":
            same.shape = (*(n + a + b for n, (a, b) in zip(spatial, pairs, strict=True)), shape[-1])
            return self.add(f"ZeroPadding{dims}", (here,), same, padding=tuple(pairs) if len(pairs) > 1 else pairs[0])
        if kind == "UpSampling":
            size = tuple(a + 1 for a, _ in pairs)
            same.shape = (*(n * k for n, k in zip(spatial, size, strict=True)), shape[-1])
            return self.add(f"UpSampling{dims}", (here,), same, size=size if len(size) > 1 else size[0])
        pairs = [(a if a < n else 0, b if a + b < n else 0) for n, (a, b) in zip(spatial, pairs, strict=True)]
        same.shape = (*(n - a - b for n, (a, b) in zip(spatial, pairs, strict=True)), shape[-1])
        return self.add(f"Cropping{dims}", (here,), same, cropping=tuple(pairs) if len(pairs) > 1 else pairs[0])

    def logits(self, here: int) -> int:
        """A classifier's end: flatten, dense, now and then batch norm or softmax."""
        if not self.values[here].levels:
            here = self.quantize(here)
        if len(self.values[here].shape) > 1:
            flat = Value((math.prod(self.values[here].shape),), True)
            here = self.add("Flatten", (here,), flat)
        units = self.integer(2, 5)
        settings = {"units": units, "kernel_quantizer": self.kernel(), "use_bias": self.flag()}
        here = self.add("QDense", (here,), Value((units,)), **settings)
        ending = self.one_of(["", "BatchNormalization", "softmax", "QActivation"])
        if ending == "BatchNormalization":
            return self.add(ending, (here,), Value((units,)))
        if ending == "softmax":
            return self.add("Activation", (here,), Value((units,)), activation="softmax")
        return self.quantize(here) if ending else here


_CONVOLUTIONS = {
    ("QConv", True): "QConv2D",
    ("QConv", False): "QConv1D",
    ("QSeparable", True): "QSeparableConv2D",
    ("QSeparable", False): "QSeparableConv1D",
    ("QDepthwise", True): "QDepthwiseConv2D",
    ("QDepthwise", False): "DepthwiseConv1D",
    ("QConvBN", True): "QConv2DBatchnorm",
    ("QDepthwiseBN", True): "QDepthwiseConv2DBatchnorm",
}
_NOTHING: dict[str, dict[str, Any]] = {
    "Identity": {},
    "GaussianNoise": {"stddev": 0.25},
    "ActivityRegularization": {"l2": 0.1},
}

_PLAIN_ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax")


def _plain_step(step: Step) -> Step:
    """The layer without quantizers; of a QKeras activation that Keras lacks, the plain one that it is named for."""
    settings = {k: v for k, v in step.settings.items() if not k.endswith("_quantizer") and k != "folding_mode"}
    if "Pooling" in step.layer:
        settings.pop("activation", None)  # Keras's pools take none
    if "activation" in settings:
        text = settings["activation"]
        named = [name for name in _PLAIN_ACTIVATIONS if name in text]
        settings["activation"] = text if text == "hard_sigmoid" else [*named, "linear"][0]
    return Step(step.layer.removeprefix("Q").removesuffix("Batchnorm"), settings, step.inputs)


@st.composite
def recipes(draw: Draw, depth: int = 12) -> Recipe:
    """Recipes of up to `depth` layers between the input's quantizer and the classifier."""
    return Drawer(draw, plain=draw(st.integers(0, 7)) == 7).recipe(depth)
