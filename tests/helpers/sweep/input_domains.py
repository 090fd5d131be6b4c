"""Random models whose inputs are defined in every way there is: a strategy of recipes, and raw samples for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tests.helpers.sweep.random_models import Draw, Drawer, Recipe, Shape, Step, Value

DOMAINS = ("quantizer", "wide", "normalized", "reshaped", "dropped out", "two quantizers", "features")
"""What stands between the input and the first layer that computes: "features" is nothing."""
ENDINGS = ("classes", "one output", "picture")
SAMPLES = 48


@dataclass(frozen=True)
class Case:
    """A model, how its input is defined, what it gives, and how widely its raw samples spread."""

    recipe: Recipe
    domain: str
    ending: str
    spread: float

    def samples(self) -> npt.NDArray[np.float32]:
        """Raw float32 (N, *shape): normally distributed, so that some lie beyond any quantizer's levels."""
        rng = np.random.default_rng(self.recipe.seed + 1)
        return rng.normal(0, self.spread, (SAMPLES, *self.recipe.input_shape)).astype(np.float32)

    def __repr__(self) -> str:
        return f"{self.domain}, {self.ending}, samples of deviation {self.spread}{self.recipe!r}"


class DomainDrawer(Drawer):
    """Draws a recipe with a given beginning and ending."""

    def case(self, domain: str, ending: str, depth: int) -> Case:
        shape = self._shape(ending)
        self.values.append(Value(shape))
        here = self._begin(domain, shape)
        if ending == "picture":
            here = self._picture(here)
        else:
            for _ in range(self.integer(1, depth)):
                here = self.step(here)
            here = self.logits(here) if ending == "classes" else self._one(here)
        steps = tuple(self.steps)
        recipe = Recipe(shape, steps, (here,), self.integer(0, 2**16))
        return Case(recipe, domain, ending, self.one_of([0.5, 2.0, 8.0]))

    def quantizer(self, choices: list[str]) -> str:
        """Without quantized_linear: qkeras 0.9.0 lacks it, so Keras cannot say what it gives."""
        return super().quantizer([code for code in choices if "quantized_linear" not in code])

    def _shape(self, ending: str) -> Shape:
        if ending == "picture":
            return (self.integer(3, 6), self.integer(3, 6), self.integer(1, 4))
        rank = self.one_of([1, 1, 3, 2])
        return {3: (self.integer(2, 6), self.integer(2, 6), self.integer(1, 4)),
                2: (self.integer(2, 8), self.integer(1, 5)), 1: (self.integer(2, 16),)}[rank]  # fmt: skip

    def _quantizer(self, low: int, high: int) -> str:
        bits = self.integer(low, high)
        return str(self.one_of([f"quantized_bits({bits},{self.integer(0, 4)},alpha=1)",
                                f"quantized_relu({bits - 1},{self.integer(0, 4)})"]))  # fmt: skip

    def _quantized(self, source: int, low: int = 4, high: int = 8) -> int:
        shape = self.values[source].shape
        return self.add("QActivation", (source,), Value(shape, True), activation=self._quantizer(low, high))

    def _begin(self, domain: str, shape: Shape) -> int:
        if domain == "features":  # the layers that may follow read it as they would levels
            return self.add("Dropout", (0,), Value(shape, True), rate=0.25)
        if domain == "wide":
            return self._quantized(0, 9, 16)
        if domain == "normalized":
            return self._quantized(self.add("BatchNormalization", (0,), Value(shape)), 4, 14)
        if domain == "reshaped":
            other = (shape[0], *shape[1:], 1) if len(shape) < 3 else (math.prod(shape),)
            return self._quantized(self.add("Reshape", (0,), Value(other), target_shape=other), 4, 12)
        if domain == "dropped out":
            return self._quantized(self.add("Dropout", (0,), Value(shape), rate=0.25), 4, 12)
        if domain == "two quantizers":
            first, second = self._quantized(0), self._quantized(0)
            return self._quantized(self.add("Add", (first, second), Value(shape)))
        return self._quantized(0)

    def _one(self, here: int) -> int:
        if not self.values[here].levels:
            here = self.quantize(here)
        if len(self.values[here].shape) > 1:
            here = self.add("Flatten", (here,), Value((math.prod(self.values[here].shape),), True))
        settings: dict[str, Any] = {"units": 1, "kernel_quantizer": self.kernel(), "use_bias": self.flag()}
        here = self.add("QDense", (here,), Value((1,)), **settings)
        return self.add("Activation", (here,), Value((1,)), activation="sigmoid")

    def _picture(self, here: int) -> int:
        for _ in range(self.integer(1, 2)):
            here = self._convolved(here, self.integer(1, 6))
            here = self.quantize(here)
        return self._convolved(here, self.integer(1, 3))

    def _convolved(self, here: int, filters: int) -> int:
        rows, columns, _ = self.values[here].shape
        settings: dict[str, Any] = {"filters": filters, "kernel_size": (3, 3), "padding": "same"}
        settings |= {"kernel_quantizer": self.kernel(), "use_bias": self.flag()}
        return self.add("QConv2D", (here,), Value((rows, columns, filters)), **settings)


@st.composite
def cases(draw: Draw, depth: int = 8) -> Case:
    """Models of up to `depth` layers between the input's definition and the output."""
    domain, ending = draw(st.sampled_from(DOMAINS)), draw(st.sampled_from(ENDINGS))
    drawer = DomainDrawer(draw)
    if ending == "picture" and domain == "reshaped":
        domain = "quantizer"
    return drawer.case(domain, ending, depth)


__all__ = ["DOMAINS", "ENDINGS", "SAMPLES", "Case", "Step", "cases"]
