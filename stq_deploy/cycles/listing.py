"""The blocks that take most of a layer's cycles, instruction by instruction, for authors of kernels."""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.cycles.operation import FLAGS, FPU_REGISTER, Operation
from stq_deploy.cycles.predict import Prediction
from stq_deploy.cycles.timeline import CoreModel
from stq_deploy.targets.emulator.block_trace import BlockTrace

HOTTEST = 3
_NAMES = {13: "sp", 14: "lr", 15: "pc", FLAGS: "flags"}


@dataclass(frozen=True)
class Line:
    """An instruction of a block.

    Attributes:
        address: its address.
        text: mnemonic, registers written, `<-` and registers read; not the assembler's syntax.
        cycles: estimated cycles that it adds to those before it: 0.5 each for a pair, more where it waits.
    """

    address: int
    text: str
    cycles: float


@dataclass(frozen=True)
class HotBlock:
    """A block, timed after the blocks that usually run before it.

    Attributes:
        runs: how often it ran; exact.
        cycles: estimated cycles of all its runs.
        lines: its instructions.
    """

    runs: int
    cycles: float
    lines: tuple[Line, ...]


def hot_blocks(trace: BlockTrace, core: CoreModel, most: int = HOTTEST) -> tuple[HotBlock, ...]:
    """The `most` blocks with the most estimated cycles, the hottest first. Wrong predictions are not in them."""
    prediction = Prediction(trace, core)
    found = []
    for block, runs in trace.counts.items():
        timed = prediction.time_instructions(block)
        lines = tuple(Line(operation.address, _text(operation), cycles) for operation, cycles in timed)
        found.append(HotBlock(runs, runs * sum(line.cycles for line in lines), lines))
    return tuple(sorted(found, key=lambda one: one.cycles, reverse=True)[:most])


def _text(operation: Operation) -> str:
    written = [*operation.results, *((operation.base,) if operation.base >= 0 else ())]
    read = [*operation.early, *operation.late, *operation.added, *operation.stored]
    text = f"{operation.name} {', '.join(map(_register, written))}".rstrip()
    return f"{text} <- {', '.join(map(_register, read))}" if read else text


def _register(number: int) -> str:
    return f"s{number - FPU_REGISTER}" if number >= FPU_REGISTER else _NAMES.get(number, f"r{number}")
