"""How post-training quantization treats the weights."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMES = ("int8", "int4", "mixed")
"""Bits of weights after training: 8, 4, or 2, 4 or 8 by layer under a budget. Activations have 8."""
ROUNDINGS = ("nearest", "adaptive")
WIDTHS = (2, 4, 8)
"""Bits of weights that a mixed scheme chooses among."""


@dataclass(frozen=True)
class WeightMethod:
    """What is done to floating-point weights.

    Attributes:
        equalize: scale channels first, so that a tensor's channels have similar ranges (`equalize`).
        correct: undo, by each layer's bias, the mean by which quantization moves its sums (`weights`).
        adaptive: round each weight up or down for the least error of the layer's sums, not to the nearest (`rounding`).
    """

    equalize: bool = False
    correct: bool = False
    adaptive: bool = False

    @property
    def changes_weights(self) -> bool:
        """Whether it differs from rounding to the nearest, which needs no pass through the layers."""
        return self.correct or self.adaptive


def usual_method(scheme: str) -> WeightMethod:
    """What suits a scheme: 8 bits need no care. Equalized channels help some networks of 4 bits and harm others."""
    return WeightMethod() if scheme == "int8" else WeightMethod(correct=True, adaptive=True)


def weight_method(scheme: str, equalize: bool | None, correct: bool | None, rounding: str | None) -> WeightMethod:
    """The usual method of a scheme, with what is stated instead.

    Args:
        rounding: one of `ROUNDINGS`.
    """
    usual = usual_method(scheme)
    return WeightMethod(
        usual.equalize if equalize is None else equalize,
        usual.correct if correct is None else correct,
        usual.adaptive if rounding is None else rounding == "adaptive",
    )
