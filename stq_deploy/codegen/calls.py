"""A kernel's call as C: parameter structures, line by line, and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from stq_deploy.codegen.literals import int32
from stq_deploy.program.kernels.call import Row, Struct, StructArray, Value


def value(one: Value) -> str:
    """A C expression of a number or of an expression.

    Raises:
        OverflowError: a number does not fit int32; the kernel's limits should have refused it.
    """
    return one if isinstance(one, str) else int32(one)


def arguments(values: Sequence[Value]) -> list[str]:
    """C expressions of a call's arguments."""
    return [value(one) for one in values]


def definition(struct: Struct | StructArray) -> tuple[str, ...]:
    """The lines that define a variable: a line a row of initializers, or one in all if there is only one row."""
    if isinstance(struct, StructArray):
        start = f"const {struct.c_type} {struct.name}[] = {{"
        return (start, *(f"    {{{_initializers(element)}}}," for element in struct.elements), "};")
    rows = [_initializers(row) for row in struct.rows]
    start = f"static const {struct.c_type} {struct.name} = {{"
    return (f"{start}{rows[0]}}};",) if len(rows) == 1 else (start, *(f"    {row}," for row in rows), "};")


def _initializers(row: Row) -> str:
    return ", ".join(f".{field} = {value(one)}" for field, one in row)
