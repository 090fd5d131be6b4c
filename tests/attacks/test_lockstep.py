"""Searches in lockstep: each as if it were alone, whatever the others ask, and none left over when one fails."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest

from stq_deploy.research.attacks.lockstep import MOST, Ask, SearchTask, run_in_lockstep


def _walk(seed: int, found: dict[int, list[float]], number: int) -> SearchTask:
    """A task that draws from both global generators, and asks `number` + 2 questions of 1 to 3 candidates."""

    def run(ask: Ask) -> None:
        said = found.setdefault(seed, [])
        for _ in range(number % 5 + 2):
            question = np.random.uniform(size=(np.random.randint(1, 4), 2)).astype(np.float32)
            said += [random.random(), float(ask(question).sum())]

    return run


def _answer(numbers: list[int], questions: list[np.ndarray]) -> list[np.ndarray]:
    return [2.0 * question for question in questions]


def test_a_task_does_the_same_alone_and_among_others() -> None:
    alone: dict[int, list[float]] = {}
    for seed in range(MOST + 9):
        run_in_lockstep([_walk(seed, alone, seed)], [seed], _answer)
    together: dict[int, list[float]] = {}
    batches: list[int] = []

    def answer(numbers: list[int], questions: list[np.ndarray]) -> list[np.ndarray]:
        batches.append(len(numbers))
        return _answer(numbers, questions)

    seeds = range(MOST + 9)
    run_in_lockstep([_walk(seed, together, seed) for seed in seeds], list(seeds), answer)
    assert together == alone
    assert max(batches) == MOST
    assert len(batches) < sum(len(said) // 2 for said in alone.values()) / 8


def test_the_global_generators_are_left_as_they_were() -> None:
    np.random.seed(5)
    random.seed(5)
    expected = np.random.uniform(), random.random()
    np.random.seed(5)
    random.seed(5)
    run_in_lockstep([_walk(1, {}, 1)], [1], _answer)
    assert (np.random.uniform(), random.random()) == expected


def test_the_seed_is_numpys_and_pythons_own() -> None:
    seen: list[float] = []
    run_in_lockstep([lambda ask: seen.extend([np.random.uniform(), random.random()])], [7], _answer)
    np.random.seed(7)
    random.seed(7)
    assert seen == [np.random.uniform(), random.random()]


@pytest.mark.parametrize("fails", ["task", "answer"])
def test_a_failure_ends_all_tasks(fails: str) -> None:
    threads = threading.active_count()
    ended: list[int] = []

    def task(number: int) -> SearchTask:
        def run(ask: Ask) -> None:
            try:
                for step in range(10):
                    if fails == "task" and (number, step) == (1, 3):
                        raise ValueError("no")
                    ask(np.zeros((1, 1), np.float32))
            finally:
                ended.append(number)

        return run

    count = 0

    def answer(numbers: list[int], questions: list[np.ndarray]) -> list[np.ndarray]:
        nonlocal count
        count += 1
        if fails == "answer" and count == 4:
            raise ValueError("no")
        return _answer(numbers, questions)

    with pytest.raises(ValueError, match="no"):
        run_in_lockstep([task(n) for n in range(3)], [0, 0, 0], answer)
    assert sorted(ended) == [0, 1, 2]
    assert threading.active_count() == threads


def test_no_tasks_ask_nothing() -> None:
    def answer(*_: Any) -> list[np.ndarray]:
        raise AssertionError

    run_in_lockstep([], [], answer)
    run_in_lockstep([lambda ask: None] * 3, [1, 2, 3], answer)
