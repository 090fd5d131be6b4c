"""The interface by which a step of the pipeline reports progress to any listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total): the present work, the number of its finished parts, and of all parts.

A stage is a few words for people, such as "certifying layers", and keeps them until it ends. It begins with done = 0
and ends with done = total; a stage that cannot count has a total of 1. Names from a model file are untrusted: the
listener makes them printable.
"""

SamplesDone = Callable[[int], None]
"""Called now and then with the number of samples finished so far."""


@contextmanager
def stage(progress: Progress, title: str) -> Iterator[None]:
    """The block as a stage that cannot count."""
    progress(title, 0, 1)
    yield
    progress(title, 1, 1)


def silent(stage: str, done: int, total: int) -> None:
    """Listener without effect, the default of every `progress` parameter."""
