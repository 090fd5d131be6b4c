"""Models of a sweep, drawn so that the same numbers give the same models."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Drawn = TypeVar("Drawn")


def draw(strategy: SearchStrategy[Drawn], count: int, start: int, sweep_seed: int) -> list[Drawn]:
    """`count` examples, the first of them number `start` of the sweep."""
    drawn: list[Drawn] = []

    @seed(sweep_seed * 1_000_003 + start)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def take(example: Drawn) -> None:
        drawn.append(example)

    take()
    return drawn
