"""Thumb-2 machine code -> `Operation` (ARMv7-M ARM, A5): registers by the stage that reads them, and units.

An instruction without a rule becomes an operation of `CoreUnit.OTHER`, which models issue alone and count separately.
"""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.cycles import decode_narrow, decode_wide
from stq_deploy.cycles.operation import FLAGS, CoreUnit, Operation
from stq_deploy.targets.emulator.instructions import ALWAYS, Instruction, is_wide, walk


def decode(address: int, code: bytes) -> tuple[Operation, ...]:
    """The operations of straight code that begins at `address` (even) outside an IT block."""
    return tuple(_decode_one(instruction) for instruction in walk(address, code))


def _decode_one(instruction: Instruction) -> Operation:
    decode_any = decode_wide.decode if is_wide(instruction.first) else decode_narrow.decode
    operation = decode_any(instruction)
    if instruction.condition == ALWAYS or operation.unit is CoreUnit.IT:
        return operation
    # In an IT block, only comparisons set flags among the narrow instructions (A7.7).
    results = operation.results
    if not is_wide(instruction.first) and operation.name not in ("cmp", "cmn", "tst"):
        results = tuple(register for register in results if register != FLAGS)
    return replace(operation, late=(*operation.late, FLAGS), results=results, is_conditional=True)
