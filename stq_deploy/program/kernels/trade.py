"""The trade of time against flash: all choices of kernels for a network that no other choice beats in both.

Layers share the code of kernels. So a choice is made for the whole network. A set of functions may run, and each layer
takes the fastest one that can run it. Code counts once, however many layers use it. Times and bytes are estimates;
tests compare them with exact counts and linked sizes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from stq_deploy.program.kernels.candidate import Candidate

Optimization = Literal["balanced", "speed", "size"]
"""What kernels are chosen for, by estimate.

- balanced: the least product of cycles and bytes of flash. One percent of flash is worth one percent of time.
- speed: the fewest cycles.
- size: the fewest bytes of flash.
"""
OPTIMIZATIONS: tuple[Optimization, ...] = ("balanced", "speed", "size")
DEFAULT: Optimization = "balanced"

_MOST_FUNCTIONS = 12
"""Functions of which every set is tried; of more, every set of families is."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A kernel for each layer.

    Attributes:
        chosen: one candidate for each layer.
        cycles: estimated cycles of one inference on a Cortex-M7.
        flash_bytes: estimated bytes of constants and kernels.
    """

    chosen: tuple[Candidate, ...]
    cycles: int
    flash_bytes: int


def choice_of(chosen: Sequence[Candidate]) -> Choice:
    """What a choice costs."""
    code: dict[str, int] = {}
    for one in chosen:
        code |= one.spec.code(one.kernel)
    constants = sum(one.constant_bytes for one in chosen)
    return Choice(tuple(chosen), sum(one.cycles for one in chosen), constants + sum(code.values()))


def best_choices(options: Sequence[Sequence[Candidate]]) -> tuple[Choice, ...]:
    """The choices that no other one beats in both time and flash, from the smallest to the fastest.

    Args:
        options: for each layer, the candidates; at least one.
    """
    cycles = {one: one.cycles for layer in options for one in layer}
    groups = _groups(options)
    found: dict[tuple[Candidate, ...], Choice] = {}
    for allowed in _sets(set(groups.values())):
        usable = [[one for one in layer if one not in groups or groups[one] in allowed] for layer in options]
        if all(usable):
            chosen = tuple(min(layer, key=cycles.__getitem__) for layer in usable)
            if chosen not in found:
                found[chosen] = choice_of(chosen)
    best: list[Choice] = []
    for one in sorted(found.values(), key=lambda choice: (choice.flash_bytes, choice.cycles)):
        if not best or one.cycles < best[-1].cycles:
            best.append(one)
    return tuple(best)


def suited(choices: Sequence[Choice], optimize: Optimization) -> Choice:
    """The one among `best_choices` that suits `optimize`."""
    if optimize == "size":
        return choices[0]
    if optimize == "speed":
        return choices[-1]
    return min(choices, key=lambda choice: choice.cycles * choice.flash_bytes)


def _groups(options: Sequence[Sequence[Candidate]]) -> dict[Candidate, str]:
    """The candidates of layers that have several -> what is allowed together: a function, or a family."""
    several = [one for layer in options if len(layer) > 1 for one in layer]
    functions = {one: one.kernel.function for one in several}
    if len(set(functions.values())) <= _MOST_FUNCTIONS:
        return functions
    return {one: type(one.spec).__name__ for one in several}


def _sets(groups: Collection[str]) -> Iterator[frozenset[str]]:
    """Every set of some of the groups."""
    ordered = sorted(groups)
    for count in range(len(ordered) + 1):
        yield from map(frozenset, combinations(ordered, count))
