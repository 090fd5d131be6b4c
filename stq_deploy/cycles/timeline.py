"""What the models of all cores share: executed operations with their addresses, and where the cycles go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from stq_deploy.cycles.operation import Operation


class Cause(StrEnum):
    """What the core waited for when it issued nothing sooner."""

    ALU = "alu"  # width of the issue, arithmetic units, operands that arithmetic computes
    LOADS = "loads"  # ports and banks of the memory, the store buffer, operands that a load brings
    BRANCHES = "branches"  # jumps, and what a wrong prediction costs


@dataclass(frozen=True)
class Step:
    """One executed operation.

    Attributes:
        operation: the instruction.
        addresses: of its accesses; empty where they are not known.
        jumps: whether execution continues elsewhere than after it.
    """

    operation: Operation
    addresses: tuple[int, ...] = ()
    jumps: bool = False


Spent = dict[Cause, float]
"""Cycles by cause."""


def nothing_spent() -> Spent:
    """A `Spent` of zeros."""
    return dict.fromkeys(Cause, 0.0)


@dataclass(frozen=True)
class Timing:
    """How long a sequence takes.

    Attributes:
        marks: cycle, counted from the first issue, before which each part of the sequence has issued completely.
        spent: cycles of each part by cause.
        wrong_jump: cycles that a wrong prediction of the last branch of each part costs.
    """

    marks: tuple[float, ...]
    spent: tuple[Spent, ...]
    wrong_jump: tuple[int, ...]


class CoreModel(Protocol):
    """A core, which a module of this folder models.

    Attributes:
        name: as in `cpu.core` of `board.toml`.
        has_branch_predictor: whether a jump that goes its usual way is free.
    """

    name: str
    has_branch_predictor: bool

    def time(self, parts: Sequence[Sequence[Step]]) -> Timing:
        """How long the parts take one after the other, from an idle core, without any wait for memory."""
        ...
