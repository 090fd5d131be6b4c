"""Attacks of the Adversarial Robustness Toolbox (ART), sample by sample, against what samples are stored as."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from stq_deploy.attacks.grid import Samples
from stq_deploy.attacks.search import Search
from stq_deploy.attacks.victim import Victim


def art_classifier(victim: Victim) -> Any:
    """ART's `BlackBoxClassifierNeuralNetwork` over the victim's logits.

    It rounds its input to the grid first. An attack that stops at the decision boundary then stops at a stored sample.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ART warns that PyTorch is absent; nothing here would use it
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    grid = victim.grid
    return BlackBoxClassifierNeuralNetwork(
        lambda x: victim.logits(grid.nearest(x)),
        input_shape=victim.shape,
        nb_classes=victim.classes,
        clip_values=(grid.low, grid.high),
    )


def attack_each(search: Search, attack: Callable[[Any, Samples, int], Samples | None]) -> None:
    """Run an ART attack on every open sample by itself, with ART's global generators seeded for it.

    Args:
        attack: (ART classifier, sample (1, *shape), its class) -> adversarial sample (1, *shape), or None.
    """
    classifier = art_classifier(search.victim)
    index = search.open
    for i, seed in zip(index, search.streams.seeds(index), strict=True):
        with _seeded(seed):
            moved = attack(classifier, search.x[i : i + 1], int(search.y[i]))
        if moved is not None:
            search.query(np.asarray([i]), moved)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Within, Python's and NumPy's global generators depend on `seed` alone."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
