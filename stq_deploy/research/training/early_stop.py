"""Keeps the best epoch's weights, and stops when validation accuracy no longer grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from stq_deploy.research.training.epoch_record import EpochRecord


class EarlyStop:
    """Keeps a copy of the best epoch's weights, and detects `patience` epochs without a better one.

    With patience 0 it never stops, and keeps none unless `keep_best`. The best epoch is the first with the highest
    certified accuracy, where that is measured, else under attack, else the highest validation accuracy.

    Args:
        first: the first epoch that may be the best one, from 0. Earlier ones have a network of another form.
    """

    def __init__(self, weights: Sequence[Any], patience: int, *, keep_best: bool = False, first: int = 0) -> None:
        self._weights = weights
        self._patience = patience
        self._first = first
        self.variables = [tf.Variable(weight, trainable=False) for weight in weights] if patience or keep_best else []
        """The best weights, part of a checkpoint."""

    def watch(self, history: Sequence[EpochRecord]) -> None:
        """Keep the present weights if the last epoch of `history` is the best one."""
        if self.variables and self._best_epoch(history) == len(history) - 1:
            for kept, weight in zip(self.variables, self._weights, strict=True):
                kept.assign(weight)

    def is_due(self, history: Sequence[EpochRecord]) -> bool:
        """Whether the last `patience` epochs brought no improvement."""
        return bool(self._patience and history) and len(history) - 1 - self._best_epoch(history) >= self._patience

    def adopt_best(self) -> None:
        """Give the model the best epoch's weights."""
        for weight, kept in zip(self._weights, self.variables, strict=bool(self.variables)):
            weight.assign(kept)

    def _best_epoch(self, history: Sequence[EpochRecord]) -> int:
        """Number of the best epoch, from 0; the last one while none counts."""
        numbers = range(min(self._first, len(history) - 1), len(history))
        return max(numbers, key=lambda number: history[number].validated.score)
