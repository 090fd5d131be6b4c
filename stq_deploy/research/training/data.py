"""The samples of one run, shuffled, with a validation part held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import Dataset
from stq_deploy.research.training.config import TrainingConfig
from stq_deploy.research.training.folds import take_fold

_SPLIT_STREAM = 2


@dataclass(frozen=True)
class Split:
    """Training and validation samples, both from the data set's training part, and its test part."""

    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_validation: NDArray[Any]
    y_validation: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]


def split(dataset: Dataset, config: TrainingConfig) -> Split:
    """Shuffle the training part by the seed (a file may be sorted by class) and hold out the validation samples. These
    are the publisher's, if it set some aside, else as many as the settings ask for. A cross validation splits into
    folds first. Raises StqError if no training or test samples are left.
    """
    if config.fold is not None:
        dataset = take_fold(dataset, config.fold, config.seed)
    order = np.random.default_rng([_SPLIT_STREAM, config.seed]).permutation(len(dataset.y_train))
    order = order[: config.recipe.train_limit]
    held_out = config.recipe.validation_samples
    held, kept = order[:held_out], order[held_out:]
    if dataset.validation is not None and held_out:
        set_aside = np.isin(order, dataset.validation)
        held, kept = order[set_aside], order[~set_aside]
    if not len(kept):
        raise StqError(
            f"no training samples left: {len(order)} in all, {len(held)} held out for validation",
            where=dataset.source,
        )
    if not len(dataset.y_test):
        raise StqError(
            f"the data set {dataset.name} has no test samples",
            where=dataset.source,
            next="store some in its test part: a trained model is scored on them",
        )
    test = np.arange(len(dataset.y_test))
    if config.test_limit is not None:
        shuffled = np.random.default_rng([_SPLIT_STREAM, config.seed, 1]).permutation(len(dataset.y_test))
        test = shuffled[: config.test_limit]
    return Split(
        dataset.x_train[kept],
        dataset.y_train[kept],
        dataset.x_train[held],
        dataset.y_train[held],
        dataset.x_test[test],
        dataset.y_test[test],
    )
