"""One fold of a cross validation as a data set of its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import Dataset


@dataclass(frozen=True)
class CrossValidationFold:
    """Number `number` (from 0) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"


def take_fold(dataset: Dataset, fold: CrossValidationFold, seed: int) -> Dataset:
    """The whole data set, training and test parts together, split again: this fold for testing, the others for
    training.

    The folds are those of scikit-learn's KFold, shuffled by `seed`. Raises StqError if there are too few samples.
    """
    from sklearn.model_selection import KFold

    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    if not 2 <= fold.count <= len(x):
        raise StqError(
            f"{len(x)} samples cannot be split into {fold.count} folds",
            where=dataset.source,
            next="choose at least 2 folds, and at most one per sample",
        )
    parts = list(KFold(fold.count, shuffle=True, random_state=seed).split(x))
    train, test = parts[fold.number]
    return dataclasses.replace(
        dataset, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test], validation=None
    )
