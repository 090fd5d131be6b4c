"""What post-training quantization has done to a network's weights, for its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from stq_deploy.common.checked_json import Checked


@dataclass(frozen=True)
class KeptBudget:
    """A budget that bits were chosen for.

    Attributes:
        kind: "flash" (bytes of weights and tables) or "cycles" (estimated, of one inference).
        limit: the most that was allowed.
        reached: what the network takes, with the kernels that were chosen then.
    """

    kind: str
    limit: int
    reached: int


@dataclass(frozen=True)
class LayerBits:
    """The bits of a layer's weights. The layer's name is untrusted text; a layer with two kernels has two entries."""

    layer: str
    bits: int


@dataclass(frozen=True)
class WeightFacts:
    """How weights were quantized after training, where that was not to the nearest of 8 bits.

    Attributes:
        equalized: whether channels were scaled first.
        corrected: whether biases were corrected.
        rounding: "nearest" or "adaptive".
        budget, bits: of bits that were chosen for each layer; None and () for the same bits everywhere.
    """

    equalized: bool
    corrected: bool
    rounding: str
    budget: KeptBudget | None = None
    bits: tuple[LayerBits, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The entries that are stated."""
        found: dict[str, Any] = {
            "equalized": self.equalized,
            "corrected": self.corrected,
            "rounding": self.rounding,
        }
        if self.budget is not None:
            found["budget"] = dict(vars(self.budget))
            found["bits"] = [dict(vars(one)) for one in self.bits]
        return found

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The facts of these entries. Raises ValueError: one is missing or of another type."""
        budget, bits = None, tuple[LayerBits, ...]()
        if stated.has("budget"):
            at = stated.at("budget")
            budget = KeptBudget(at.at("kind").text(), at.at("limit").count(), at.at("reached").count())
            rows = stated.at("bits").entries()
            bits = tuple(LayerBits(one.at("layer").text(), one.at("bits").count()) for one in rows)
        equalized, corrected = stated.at("equalized").flag(), stated.at("corrected").flag()
        return cls(equalized, corrected, stated.at("rounding").text(), budget, bits)
