"""What a program's kernels were chosen from: the possible choices, as time against flash and RAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.choice import kernel_choices
from stq_deploy.program.kernels.trade import OPTIMIZATIONS, Choice, choice_of, suited
from stq_deploy.program.order import memory_of_candidates
from stq_deploy.program.program import Program
from stq_deploy.program.views import find_views


@dataclass(frozen=True)
class KernelOption:
    """One choice of kernels for a program.

    Attributes:
        cycles: estimated cycles of one inference on a Cortex-M7.
        flash_bytes: estimated bytes of constants and kernels.
        ram_bytes: bytes of tensors and scratch memory, before the layers are ordered for the least.
        suits: the values of `optimize` that take it.
        is_chosen: whether the program has it.
        kernels: layer -> C function, of the layers whose kernel is not the same in every choice.
    """

    cycles: int
    flash_bytes: int
    ram_bytes: int
    suits: tuple[str, ...]
    is_chosen: bool
    kernels: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        """The choice for --json."""
        return {
            "estimated_cycles": self.cycles,
            "estimated_flash_bytes": self.flash_bytes,
            "estimated_ram_bytes": self.ram_bytes,
            "optimize": list(self.suits),
            "taken": self.is_chosen,
            "kernels": dict(self.kernels),
        }


def kernel_options(program: Program) -> tuple[KernelOption, ...]:
    """The choices that no other one beats in time, flash and RAM, and the program's own; the smallest first."""
    network, views = program.network, find_views(program.network)
    choices = kernel_choices(network, views)
    suits = {name: suited(choices, name) for name in OPTIMIZATIONS}
    in_file = {op.name: index for index, op in enumerate(network.ops)}
    layers = sorted(program.layers, key=lambda layer: in_file[layer.name])
    chosen = [Candidate(layer.spec, layer.function, layer.work) for layer in layers]
    own = choice_of(chosen, memory_of_candidates(network, views, [[one] for one in chosen]))
    kernels = _kernels(own)
    choices = _shown(choices, list(suits.values()))
    if all(_kernels(choice) != kernels for choice in choices):
        choices = tuple(sorted((*choices, own), key=lambda one: one.flash_bytes))
    several = {name for name in kernels if len({_kernels(choice)[name] for choice in choices}) > 1}
    return tuple(
        KernelOption(
            choice.cycles,
            choice.flash_bytes,
            choice.ram_bytes,
            tuple(name for name, one in suits.items() if one is choice),
            _kernels(choice) == kernels,
            {name: function for name, function in _kernels(choice).items() if name in several},
        )
        for choice in choices
    )


def _shown(choices: tuple[Choice, ...], suited: Sequence[Choice]) -> tuple[Choice, ...]:
    """The choices that no other one beats, and the suited ones."""
    # One that costs as little or less comes earlier.
    return tuple(
        one for i, one in enumerate(choices) if one in suited or not any(other.beats(one) for other in choices[:i])
    )


def _kernels(choice: Choice) -> dict[str, str]:
    return {one.work.op.name: one.kernel.function for one in choice.chosen}
