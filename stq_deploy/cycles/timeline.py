"""Types that the models of all cores share: executed operations, and cycles by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from stq_deploy.cycles.operation import Operation


class Cause(StrEnum):
    """The reason why the core issued an instruction no sooner."""

    ALU = "alu"  # width of the issue, arithmetic units, operands that arithmetic computes
    LOADS = "loads"  # ports and banks of the memory, the store buffer, operands that a load brings
    BRANCHES = "branches"  # jumps, and what a wrong prediction costs


@dataclass(frozen=True)
class ExecutedOperation:
    """One executed operation.

    Attributes:
        operation: the instruction.
        addresses: addresses of its accesses; empty where they are not known.
        jumps: whether execution continues at another place than after it.
    """

    operation: Operation
    addresses: tuple[int, ...] = ()
    jumps: bool = False


CauseCycles = dict[Cause, float]
"""Cycles by cause."""


def nothing_spent() -> CauseCycles:
    """A `CauseCycles` of zeros."""
    return dict.fromkeys(Cause, 0.0)


@dataclass(frozen=True)
class CoreTiming:
    """The cycles that a sequence takes.

    Attributes:
        marks: for each part of the sequence, the cycle by which all of it has issued, counted from the first issue.
        spent: cycles of each part by cause.
        wrong_jump: cycles that a wrong prediction of the last branch of each part costs.
    """

    marks: tuple[float, ...]
    spent: tuple[CauseCycles, ...]
    wrong_jump: tuple[int, ...]


class CoreModel(Protocol):
    """A model of a core.

    Attributes:
        name: as in `cpu.core` of `board.toml`.
        has_branch_predictor: whether a jump that goes its usual way is free.
    """

    name: str
    has_branch_predictor: bool

    def time(self, parts: Sequence[Sequence[ExecutedOperation]]) -> CoreTiming:
        """The cycles of parts that run one after the other on an idle core, without waits for memory."""
        ...
