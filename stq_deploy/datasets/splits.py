"""How the samples of a data set are parted into training and test samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STREAM = 4


def per_class_third(labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """Which samples (N,) are for testing: ceil(n / 3) of the n of each class, drawn by `seed`.

    So the paper must have parted its speech data: of the twelve words' clips that gives its very numbers, 31,257 and
    15,636. Which clips it drew is not known. The same labels in the same order give the same answer.
    """
    test = np.zeros(len(labels), bool)
    for number in np.unique(labels):
        members = np.flatnonzero(labels == number)
        random = np.random.default_rng([_STREAM, seed, int(number)])
        test[random.permutation(members)[: -(-len(members) // 3)]] = True
    return test
