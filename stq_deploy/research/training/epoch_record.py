"""What a run records about each epoch, and its form in history.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Validation:
    """Shares of validation samples, 0..1, that the model gets right; None where not measured.

    Attributes:
        validation_accuracy: clean samples.
        noisy_accuracy: samples with the recipe's noise.
        robust_accuracy: samples under attack.
        certified_accuracy: samples proved right within the budget.
    """

    validation_accuracy: float | None = None
    noisy_accuracy: float | None = None
    robust_accuracy: float | None = None
    certified_accuracy: float | None = None

    @property
    def score(self) -> float:
        """The figure that the best epoch is chosen by: the strictest one that is measured.

        Raises:
            ValueError: none is.
        """
        for accuracy in (self.certified_accuracy, self.robust_accuracy, self.validation_accuracy):
            if accuracy is not None:
                return accuracy
        raise ValueError("there are no validation samples")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: number, from 1.
        train_loss, train_accuracy: means over the epoch's batches, with weights as drawn.
        learning_rate: at the last step.
        temperature: of the draws; None without draws.
        quantized_share: of the rows of weights; None unless quantization is gradual.
        adversary_eps: the adversary's budget at the last step, in gray levels; None without one.
        validated: accuracies after the epoch.
        seconds: wall-clock time, validation included.
        nonzero_share: of the weights of kernels that are made sparse, as deployed; None without sparsity.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    learning_rate: float
    temperature: float | None
    quantized_share: float | None
    adversary_eps: float | None
    validated: Validation
    seconds: float
    nonzero_share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The line of history.jsonl; what only some recipes measure is absent from others' lines."""
        line: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Validation):
                line |= {name: one for name, one in vars(value).items() if one is not None or name in _ALWAYS}
            elif value is not None or field.name in _ALWAYS:
                line[field.name] = value
        return line

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> EpochRecord:
        """The record of a line.

        Raises:
            ValueError: an entry is missing or not a number.
        """
        own = {field.name: _number_of_json(line, field.name) for field in fields(cls) if field.name != "validated"}
        validated = Validation(**{field.name: _number_of_json(line, field.name) for field in fields(Validation)})
        if any(own[name] is None for name in ("epoch", "train_loss", "train_accuracy", "learning_rate", "seconds")):
            raise ValueError("an epoch's record lacks an entry")
        return cls(validated=validated, **own)


_ALWAYS = ("temperature", "quantized_share", "validation_accuracy")
"""Entries that a line has even if they are null."""


def _number_of_json(line: Mapping[str, Any], name: str) -> Any:
    value = line.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} is not a number")
    return value
