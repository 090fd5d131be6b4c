"""Keeps the best epoch's weights, and stops when validation accuracy no longer grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class EarlyStop:
    """Keeps a copy of the best epoch's weights, and detects `patience` epochs without a better one.

    With patience 0 it never stops, and keeps none unless `keep_best`. The best epoch is the first with the highest
    certified accuracy, where that is measured, else under attack, else the highest validation accuracy.
    """

    def __init__(self, weights: Sequence[Any], patience: int, *, keep_best: bool = False) -> None:
        self._weights = weights
        self._patience = patience
        self.variables = [tf.Variable(weight, trainable=False) for weight in weights] if patience or keep_best else []
        """The best weights, part of a checkpoint."""

    def watch(self, history: Sequence[dict[str, Any]]) -> None:
        """Keep the present weights if the last epoch of `history` is the best one."""
        if self.variables and _best_epoch(history) == len(history) - 1:
            for kept, weight in zip(self.variables, self._weights, strict=True):
                kept.assign(weight)

    def is_due(self, history: Sequence[dict[str, Any]]) -> bool:
        """Whether the last `patience` epochs brought no improvement."""
        return bool(self._patience and history) and len(history) - 1 - _best_epoch(history) >= self._patience

    def adopt_best(self) -> None:
        """Give the model the best epoch's weights."""
        for weight, kept in zip(self._weights, self.variables, strict=bool(self.variables)):
            weight.assign(kept)


def _best_epoch(history: Sequence[dict[str, Any]]) -> int:
    """Number of the best epoch, from 0."""
    return max(range(len(history)), key=lambda number: _score(history[number]))


def _score(record: dict[str, Any]) -> float:
    kinds = ("certified_accuracy", "robust_accuracy", "validation_accuracy")
    score: float = next(record[kind] for kind in kinds if record.get(kind) is not None)
    return score
