"""The trade of time, flash and RAM: all choices of kernels for a network that no other choice beats in all three.

Layers share the code of kernels. So a choice is made for the whole network. A set of functions may run, and each layer
takes the fastest one that can run it. Code counts once, however many layers use it. Then weights may be coded: a layer
keeps its kernel, and takes the function that reads another packing. Times and bytes are estimates; tests compare them
with exact counts and linked sizes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations, product
from typing import Literal

from stq_deploy.program.kernels.candidate import Candidate

Optimization = Literal["balanced", "speed", "size"]
"""What kernels are chosen for, by estimate.

- balanced: the least product of cycles, bytes of flash and the tenth root of bytes of RAM. One percent of time is worth
  one percent of flash, or ten percent of RAM.
- speed: the fewest cycles.
- size: the fewest bytes of flash.

Only speed and size may code weights. Unpacking them takes time, and balanced is the default.
"""
OPTIMIZATIONS: tuple[Optimization, ...] = ("balanced", "speed", "size")
DEFAULT: Optimization = "balanced"

RAM_PER_TIME = 10
"""Percent of the RAM that are worth one percent of the time. RAM counts less than flash, because an application may
use it between two inferences."""
_MOST_CAPS = 8
"""Limits of RAM that are tried, from the largest down."""
_ONLY_BYTES = 1e9
"""Cycles that a byte costs where only bytes count."""
_MOST_FUNCTIONS = 12
"""Functions of which every set is tried; of more, every set of families is."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A kernel for each layer.

    Attributes:
        chosen: one candidate for each layer.
        cycles: estimated cycles of one inference on a Cortex-M7.
        flash_bytes: estimated bytes of constants and kernels.
        ram_bytes: bytes of tensors and scratch memory, with the layers in the network's own order.
    """

    chosen: tuple[Candidate, ...]
    cycles: int
    flash_bytes: int
    ram_bytes: int

    @property
    def coded(self) -> int:
        """Layers with coded weights."""
        return sum(one.kernel.packing != "fields" for one in self.chosen)

    @property
    def costs(self) -> tuple[int, int, int]:
        """Flash, time and RAM."""
        return self.flash_bytes, self.cycles, self.ram_bytes

    def beats(self, other: Choice) -> bool:
        """Whether the other one costs as much or more in all three."""
        return all(mine <= its for mine, its in zip(self.costs, other.costs, strict=True))

    @property
    def product(self) -> float:
        """What a balanced choice keeps small: the product of the costs, each by its weight."""
        weighed: float = self.ram_bytes ** (1 / RAM_PER_TIME)
        return self.cycles * self.flash_bytes * weighed


def choice_of(chosen: Sequence[Candidate], ram: Mapping[Candidate, int]) -> Choice:
    """What a choice costs.

    Args:
        ram: candidate -> bytes of RAM in use while it runs.
    """
    code: dict[str, int] = {}
    for one in chosen:
        code |= one.spec.code(one.kernel)
    constants = sum(one.constant_bytes for one in chosen)
    cycles, flash = sum(one.cycles for one in chosen), constants + sum(code.values())
    return Choice(tuple(chosen), cycles, flash, max(ram[one] for one in chosen))


def best_choices(options: Sequence[Sequence[Candidate]], ram: Mapping[Candidate, int]) -> tuple[Choice, ...]:
    """The choices that no other one with as few coded layers beats in time, flash and RAM, by flash, and then by time.

    Args:
        options: for each layer, the candidates; at least one.
        ram: candidate -> bytes of RAM in use while it runs.
    """
    fields = [[one for one in layer if one.kernel.packing == "fields"] or layer for layer in options]
    found: dict[tuple[Candidate, ...], Choice] = {}
    for cap in _caps(fields, ram):
        within = [[one for one in layer if ram[one] <= cap] for layer in fields]
        for chosen in _fastest(within):
            if chosen not in found:
                found[chosen] = choice_of(chosen, ram)
    best = _unbeaten(found.values())
    coded = chain.from_iterable(_coded(choice, options) for choice in best)
    return _unbeaten((*best, *(choice_of(chosen, ram) for chosen in dict.fromkeys(coded))))


def _unbeaten(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that no other one with as few coded layers beats, by flash, and then by time."""
    best: list[Choice] = []
    for choice in sorted(choices, key=lambda one: one.costs):
        if not any(other.beats(choice) and other.coded <= choice.coded for other in best):
            best.append(choice)
    return tuple(best)


def _coded(choice: Choice, options: Sequence[Sequence[Candidate]]) -> Iterator[tuple[Candidate, ...]]:
    """For every set of packings, the same kernels with other packings of the weights, at several prices of a byte."""
    packings = {one.kernel.packing for layer in options for one in layer} | {"fields"}
    same = [
        [one for one in layer if one.kernel.plain == chosen.kernel.plain]
        for layer, chosen in zip(options, choice.chosen, strict=True)
    ]
    # At the second price, one percent of the flash is worth one percent of the time.
    prices = (0.0, choice.cycles / max(choice.flash_bytes, 1), _ONLY_BYTES)
    for allowed, price in product(_sets(packings), prices):
        if allowed - {"fields"}:
            yield tuple(
                min([one for one in layer if one.kernel.packing in allowed] or [chosen], key=partial(_priced, price))
                for layer, chosen in zip(same, choice.chosen, strict=True)
            )


def _priced(price: float, one: Candidate) -> float:
    return one.cycles + price * one.constant_bytes


def _caps(options: Sequence[Sequence[Candidate]], ram: Mapping[Candidate, int]) -> list[int]:
    """Limits of RAM that leave each layer a candidate, and other ones than the next; the largest leaves all."""
    least = max(min(ram[one] for one in layer) for layer in options)
    several = {ram[one] for layer in options if len(layer) > 1 for one in layer}
    return sorted({least, *(size for size in several if size > least)})[-_MOST_CAPS:]


def _fastest(options: Sequence[Sequence[Candidate]]) -> Iterator[tuple[Candidate, ...]]:
    """For every set of functions with which all layers can run, the fastest candidate of each layer."""
    cycles = {one: one.cycles for layer in options for one in layer}
    groups = _groups(options)
    for allowed in _sets(set(groups.values())):
        usable = [[one for one in layer if one not in groups or groups[one] in allowed] for layer in options]
        if all(usable):
            yield tuple(min(layer, key=cycles.__getitem__) for layer in usable)


def suited(choices: Sequence[Choice], optimize: Optimization) -> Choice:
    """The one among `best_choices` that suits `optimize`."""
    if optimize == "size":
        return choices[0]
    if optimize == "speed":
        return min(choices, key=lambda choice: (choice.cycles, choice.costs))
    fewest = min(choice.coded for choice in choices)
    return min((choice for choice in choices if choice.coded == fewest), key=lambda choice: choice.product)


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
