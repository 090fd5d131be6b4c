"""The meaning of a network's output: real values of its levels, and the task they are read for.

The host reads outputs, never the device: a board sends levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network.tensor import TensorType

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[Any]


class Task(StrEnum):
    """The task for which the model's output is read."""

    CLASSES = "classes"
    BINARY = "binary"
    LABELS = "multi-label"
    PLACES = "pixel-classes"
    REGRESSION = "regression"
    RECONSTRUCTION = "reconstruction"
    ANOMALY = "anomaly"


class LastStep(StrEnum):
    """The Keras model's last function, as far as it says how to read its output.

    SIGMOID means every function with values from 0 to 1 that is 1/2 at 0; SIGN means only the values -1 and 1.
    """

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    SIGN = "sign"
    LINEAR = "linear"


THRESHOLDS = {LastStep.SIGMOID: Fraction(1, 2)}
"""Threshold above which an output means yes; 0 for every other step."""
_TWO_SIDED = (LastStep.SIGMOID, LastStep.TANH, LastStep.SIGN)
"""Steps whose values lie on two sides of a threshold: one unit that ends so tells two classes apart."""


@dataclass(frozen=True)
class OutputFormat:
    """The first output of a model, which is the one that is scored.

    Attributes:
        shape: of one sample's output.
        last: see `LastStep`.
        functions: functions that the model applies and the network leaves out, first to last.
        task: the user's choice at conversion, or None.
        threshold: the user's threshold, above which the model's output means yes, or None.
        count: number of the model's outputs.
    """

    shape: tuple[int, ...]
    last: LastStep
    functions: tuple[str, ...] = ()
    task: Task | None = None
    threshold: float | None = None
    count: int = 1

    @property
    def places(self) -> tuple[int, ...]:
        """Axes before the channels; () if all of them have size 1."""
        return () if math.prod(self.shape[:-1]) == 1 else self.shape[:-1]

    @property
    def channels(self) -> int:
        """Number of values per place."""
        return self.shape[-1]

    @property
    def limit(self) -> Fraction:
        """The threshold above which the model's output means yes."""
        return THRESHOLDS.get(self.last, Fraction(0)) if self.threshold is None else Fraction(self.threshold)

    @property
    def has_threshold(self) -> bool:
        """Whether a threshold says what the output means, as far as its ending and the user's statements tell."""
        if any(name not in _ENDS for name in self.functions):
            return False
        one = self.channels == 1
        if self.task is not None:
            return self.task in (Task.BINARY, Task.LABELS) or (self.task is Task.PLACES and one)
        return one and (self.threshold is not None or self.last in _TWO_SIDED)

    def values(self, levels: Levels, spec: TensorType) -> Floats:
        """The model's output, float64 (N, *shape), for the network's output levels (N, any shape)."""
        values = real_values(levels.reshape(len(levels), *self.shape), spec)
        return apply_functions(values, self.functions)

    def above(self, levels: Levels, spec: TensorType) -> npt.NDArray[np.bool_]:
        """Mask of where the model's output exceeds `limit`, (N, *shape): one comparison of integers."""
        least = self.first_level(spec)
        shaped = levels.reshape(len(levels), *self.shape)
        if isinstance(least, bool):
            return np.full(shaped.shape, least)
        result: npt.NDArray[np.bool_] = shaped.astype(np.int64) >= least
        return result

    def first_level(self, spec: TensorType) -> int | bool:
        """The smallest level whose value exceeds `limit`; True or False where all levels do, or none."""
        limit = self.limit_before_functions
        if isinstance(limit, float):
            return limit < 0
        return math.floor(limit / Fraction(spec.scale)) + spec.zero_point + 1

    @property
    def limit_before_functions(self) -> Fraction | float:
        """`limit` as a value of the network's own output, before `functions`; -inf: always above it, inf: never."""
        limit: Fraction | float = self.limit
        for name in reversed(self.functions):
            limit = _before(name, limit)
        return limit


def real_values(levels: Levels, spec: TensorType) -> Floats:
    """Real values of a tensor's levels, float64. Logits are an int32 times a power of two, so this is exact."""
    return (levels.astype(np.float64) - spec.zero_point) * spec.scale


def apply_functions(values: Floats, functions: Sequence[str]) -> Floats:
    """The functions of a network's `output_functions`, first to last, over the last axis."""
    for name in functions:
        values = FUNCTIONS[name](values)
    return values


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _sigmoid(logits: Floats) -> Floats:
    result: Floats = (1 + np.tanh(logits / 2)) / 2  # as 1 / (1 + exp(-x)), without its overflow
    return result


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {"softmax": _softmax, "sigmoid": _sigmoid, "tanh": np.tanh}
"""The functions that may separate the network's output from the model's."""

_ENDS = {"sigmoid": (0, 1), "tanh": (-1, 1)}


def _before(name: str, limit: Fraction | float) -> Fraction | float:
    """The number above which a rising function exceeds `limit`; +-infinity: never, always.

    It is exact at the middle, the usual threshold: 1/2 for a sigmoid, 0 for tanh.
    """
    if name not in _ENDS:
        raise StqError(
            f"a threshold at the output of {name} does not follow from one number alone",
            next="read the output as classes: --task classes",
        )
    low, high = _ENDS[name]
    if limit <= low:
        return -math.inf
    if limit >= high:
        return math.inf
    if 2 * limit == low + high:
        return Fraction(0)
    share = float((Fraction(limit) - low) / (high - low))
    logit = math.log(share) - math.log1p(-share)
    return Fraction(logit if name == "sigmoid" else logit / 2)
