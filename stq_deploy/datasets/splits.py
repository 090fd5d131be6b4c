"""Splits the samples of a data set into training and test samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STREAM = 4


def per_class_third(labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """Mask (N,) of the samples for testing: ceil(n / 3) of the n of each class, drawn by `seed`.

    The paper must have split its speech data so: for the twelve words' clips this gives exactly its numbers, 31,257 and
    15,636. Which clips it drew is not known. The same labels in the same order give the same answer.
    """
    test = np.zeros(len(labels), bool)
    for number in np.unique(labels):
        members = np.flatnonzero(labels == number)
        random = np.random.default_rng([_STREAM, seed, int(number)])
        test[random.permutation(members)[: -(-len(members) // 3)]] = True
    return test
