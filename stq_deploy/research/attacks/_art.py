"""Attacks of the Adversarial Robustness Toolbox (ART), on several samples at a time, against stored values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.lockstep import Ask, SearchTask, run_in_lockstep
from stq_deploy.research.attacks.oracle import Logits, Oracle
from stq_deploy.research.attacks.search import Search

OneSample = Callable[[Any, Samples, int], Samples | None]
"""(ART classifier, sample (1, *shape), its class) -> adversarial sample (1, *shape), or None."""


class _Spent(Exception):
    """A sample's queries are used up."""


def art_classifier(oracle: Oracle, ask: Ask) -> Any:
    """ART's `BlackBoxClassifierNeuralNetwork` over the logits that `ask` gives.

    It rounds its input to the grid first. An attack that stops at the decision boundary then stops at a stored sample.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ART warns that PyTorch is absent; nothing here would use it
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    grid = oracle.grid
    return BlackBoxClassifierNeuralNetwork(
        lambda x: ask(grid.nearest(x)),
        input_shape=oracle.shape,
        nb_classes=oracle.classes,
        clip_values=(grid.low, grid.high),
    )


def attack_each(search: Search, attack: OneSample, max_queries: int = 0) -> None:
    """Run an ART attack on every open sample by itself; the samples' queries are answered together.

    Every success on the way is recorded, not only the last one.

    Args:
        attack: what ART does to one sample.
        max_queries: most queries per sample; the attack ends before a query that would exceed them. 0: no limit.
    """
    index = search.open

    def answer(numbers: list[int], questions: list[Samples]) -> list[Logits]:
        return search.query_several(index[numbers], questions)

    tasks = [_task(search, attack, int(i), max_queries) for i in index]
    run_in_lockstep(tasks, search.streams.seeds(index) if len(index) else [], answer)


def _task(search: Search, attack: OneSample, i: int, max_queries: int) -> SearchTask:
    def run(ask: Ask) -> None:
        asked = 0

        def limited(question: Samples) -> Logits:
            nonlocal asked
            asked += len(question)
            if max_queries and asked > max_queries:
                raise _Spent
            return ask(question)

        classifier = art_classifier(search.victim, limited)
        try:
            moved = attack(classifier, search.x[i : i + 1], int(search.y[i]))
            if moved is not None:
                limited(moved)
        except _Spent:
            return

    return run


def random_start_of_another_class(classifier: Any, sample: Samples, label: int, tries: int) -> Samples | None:
    """A random sample of the shape of `sample` (1, ...) that is not taken for `label`; None if none was drawn.

    All `tries` are one batch of queries. ART would draw the start from its own generator, which is not seeded.
    """
    low, high = classifier.clip_values
    drawn = np.random.uniform(low, high, (tries, *sample.shape[1:])).astype(np.float32)
    others = np.flatnonzero(np.argmax(classifier.predict(drawn), axis=1) != label)
    return drawn[others[:1]] if len(others) else None
