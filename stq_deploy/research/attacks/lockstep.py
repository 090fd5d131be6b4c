"""Several searches with one oracle: each runs to its next query, then all queries are answered together.

A library's attack is one function that sends the queries of one sample, one at a time. An oracle answers many queries
at a time: a batch on a CPU, or several boards. Run one by one, such functions would leave it idle.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.oracle import Logits

Ask = Callable[[Samples], Logits]
"""Candidates (M, *shape) -> their logits (M, K)."""
SearchTask = Callable[[Ask], None]
Answer = Callable[[list[int], list[Samples]], list[Logits]]
"""(numbers of tasks, the query of each) -> the answer to each."""

MOST = 32
"""Tasks at a time; each has a thread."""


def run_in_lockstep(tasks: Sequence[SearchTask], seeds: Sequence[int], answer: Answer) -> None:
    """Run all tasks; the queries of up to `MOST` of them are answered together.

    Only one task runs at a time. Each has its own state of Python's and NumPy's global generators, which begins at its
    seed. So a task depends only on its seed and its answers.

    Raises:
        BaseException: the error of a task or of `answer`; the other tasks then end.
    """
    waiting = list(enumerate(zip(tasks, seeds, strict=True)))[::-1]
    running: dict[int, _Runner] = {}
    try:
        while waiting or running:
            while waiting and len(running) < MOST:
                number, (task, seed) = waiting.pop()
                running[number] = runner = _Runner(task, seed)
                runner.go_on(None)
                if runner.has_ended:
                    del running[number]
            if not running:
                continue
            numbers = list(running)
            answers = answer(numbers, [running[number].question for number in numbers])
            for number, logits in zip(numbers, answers, strict=True):
                running[number].go_on(logits)
                if running[number].has_ended:
                    del running[number]
    finally:
        for runner in running.values():
            runner.end()


class _Ended(BaseException):
    """Raised within a task to end it, when its result is no longer needed."""


class _Runner:
    """A task in a thread of its own, which runs only while `go_on` waits for it.

    Attributes:
        question: the task's present query; meaningless once it has ended.
        has_ended: whether the task has ended.
    """

    question: Samples

    def __init__(self, task: SearchTask, seed: int) -> None:
        self._task = task
        self._answer: Logits | None = None
        self._error: BaseException | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._is_unwanted = False
        self._generators = _states_of(seed)
        self.has_ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_on(self, answer: Logits | None) -> None:
        """Answer its query; returns at its next query or its end. An error of the task is raised here."""
        self._answer = answer
        with _generators(self._generators):
            self._go.release()
            self._stopped.acquire()
            self._generators = _states()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End it at its present query."""
        self._is_unwanted = True
        self._go.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._wait()
            self._task(self._ask)
        except _Ended:
            pass
        except BaseException as error:
            self._error = error
        self.has_ended = True
        self._stopped.release()

    def _ask(self, question: Samples) -> Logits:
        self.question = question
        self._stopped.release()
        self._wait()
        assert self._answer is not None
        return self._answer

    def _wait(self) -> None:
        self._go.acquire()
        if self._is_unwanted:
            raise _Ended


_States = tuple[Any, Any]
"""States of Python's and of NumPy's global generator."""


def _states() -> _States:
    return random.getstate(), np.random.get_state()


def _states_of(seed: int) -> _States:
    return random.Random(seed).getstate(), np.random.RandomState(seed).get_state()  # noqa: S311 - not for secrets


@contextmanager
def _generators(states: _States) -> Iterator[None]:
    """Set the global generators to these states within the block."""
    python_state, numpy_state = _states()
    random.setstate(states[0])
    np.random.set_state(states[1])
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
