"""What an emitter is given, what it makes, and how it is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.codegen.literals import int32
from stq_deploy.codegen.text import identifier
from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.program import Layer


@dataclass(frozen=True, eq=False)
class Constant:
    """An array of weights.c.

    Attributes:
        name: C identifier.
        array: int8, int32, int64, or uint32 for packed weights; not empty.
        note: what it is, for the reader of weights.c; trusted text.
    """

    name: str
    array: npt.NDArray[np.integer[Any]]
    note: str


Row = tuple[tuple[str, str], ...]
"""Designated initializers that stand on one line, as (field, C expression)."""


@dataclass(frozen=True)
class Struct:
    """A `static const` parameter struct of a layer's function.

    Attributes:
        c_type, name: of the variable.
        rows: its designated initializers.
    """

    c_type: str
    name: str
    rows: tuple[Row, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Its definition, line by line: on one line if it has one row of initializers."""
        rows = [_initializers(row) for row in self.rows]
        start = f"static const {self.c_type} {self.name} = {{"
        return (f"{start}{rows[0]}}};",) if len(rows) == 1 else (start, *(f"    {row}," for row in rows), "};")


@dataclass(frozen=True)
class StructArray:
    """A `const` array of parameter structs, which may hold addresses in the arena.

    Attributes:
        c_type: of an element.
        name: of the variable.
        elements: the designated initializers of each.
    """

    c_type: str
    name: str
    elements: tuple[Row, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Its definition: one line an element."""
        return (
            f"const {self.c_type} {self.name}[] = {{",
            *(f"    {{{_initializers(element)}}}," for element in self.elements),
            "};",
        )


def _initializers(row: Row) -> str:
    return ", ".join(f".{field} = {value}" for field, value in row)


@dataclass(frozen=True)
class LayerCode:
    """One layer as C.

    Attributes:
        constants: its arrays in weights.c.
        structs: its parameters.
        arguments: of the kernel call, in order.
        notes: facts for the function's comment; trusted text.
    """

    constants: tuple[Constant, ...]
    structs: tuple[Struct | StructArray, ...]
    arguments: tuple[str, ...]
    notes: tuple[str, ...] = ()


CONTEXT = "&network->scratch"
"""The argument by which a kernel gets the shared scratch memory."""


@dataclass(frozen=True, eq=False)
class LayerContext:
    """What an emitter is given.

    Attributes:
        layer: what is emitted.
        tensor: name of a tensor -> C expression of its address.
        prefix: of the network's symbols.
    """

    layer: Layer
    tensor: Mapping[str, str]
    prefix: str

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        return self.layer.inputs

    @property
    def output(self) -> TensorType:
        return self.layer.output

    @property
    def input_pointers(self) -> tuple[str, ...]:
        return tuple(self.tensor[name] for name in self.layer.op.inputs)

    @property
    def output_pointer(self) -> str:
        return self.tensor[self.layer.op.output]

    def constant_name(self, what: str) -> str:
        """C identifier of one of the layer's arrays."""
        return f"{self.prefix}_{what}_{identifier('layer', self.layer.index, self.layer.op.name)}"


Emitter = Callable[[LayerContext], LayerCode]
_EMITTERS: dict[str, Emitter] = {}


def emits(kind: str) -> Callable[[Emitter], Emitter]:
    """Decorator: this function emits ops of `kind`."""

    def register(emitter: Emitter) -> Emitter:
        _EMITTERS[kind] = emitter
        return emitter

    return register


def emit_layer(context: LayerContext) -> LayerCode:
    """The C of a layer, by the emitter of its kind.

    Raises:
        StqError: no emitter knows the op.
    """
    op = context.layer.op
    if op.kind not in _EMITTERS:
        raise StqError(
            f"no emitter writes C for a {op.kind}",
            where=f"layer {op.name!r}",
            cause="an op was added to the integer network without one",
            next="add it in stq_deploy/codegen/emitters (docs/DESIGN.md, `Adding things`)",
        )
    return _EMITTERS[op.kind](context)


def fields(**values: int | str) -> Row:
    """A row of a struct: numbers become int32 constants, texts are C expressions already."""
    return tuple((name, value if isinstance(value, str) else int32(value)) for name, value in values.items())


def image_dims(name: str, shape: tuple[int, ...]) -> Struct:
    """A `stq_dims` of a (height, width, channels) shape."""
    height, width, channels = shape
    return Struct("stq_dims", name, (fields(h=height, w=width, c=channels),))
