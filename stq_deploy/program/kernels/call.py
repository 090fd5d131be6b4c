"""The call of a kernel as data: its constants, parameter structures and arguments. `codegen` writes it as C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from stq_deploy.network import TensorType
from stq_deploy.program.kernels.work import AnyOp, Work

STQ_TYPES = {"int8": "STQ_S8", "int16": "STQ_S16", "int32": "STQ_S32"}
"""Storage type -> its `stq_type`."""
SCRATCH = "&scratch"
"""The argument by which a kernel gets its scratch memory; codegen defines the variable."""

Value = int | str
"""A number, or a C expression."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An array of constants of a layer.

    Attributes:
        name: C identifier.
        array: int8, int16, int32, int64, or uint32 for packed words; not empty.
        note: what it is, for the reader of the C file; trusted text.
    """

    name: str
    array: npt.NDArray[np.integer[Any]]
    note: str


Row = tuple[tuple[str, Value], ...]
"""Designated initializers that stand on one line, as (field, value)."""


def fields(**values: Value) -> Row:
    """A row of a structure."""
    return tuple(values.items())


@dataclass(frozen=True)
class Struct:
    """A `static const` parameter structure of a layer's function.

    Attributes:
        c_type, name: of the variable.
        rows: its designated initializers.
    """

    c_type: str
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class StructArray:
    """A `const` array of parameter structures, which may hold addresses in the arena.

    Attributes:
        c_type: of an element.
        name: of the variable.
        elements: the designated initializers of each.
    """

    c_type: str
    name: str
    elements: tuple[Row, ...]


@dataclass(frozen=True)
class Finish:
    """A call that completes a layer's output, after the kernel has written a part.

    Attributes:
        constants: its arrays.
        structs: its parameters.
        function: its C name; it returns `stq_status`.
        arguments: of the call, in order.
    """

    constants: tuple[Constant, ...]
    structs: tuple[Struct, ...]
    function: str
    arguments: tuple[Value, ...]


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel.

    Attributes:
        constants: its arrays.
        structs: its parameters.
        arguments: of the call, in order.
        notes: facts for the comment of the layer's function; trusted text.
        finish: the call that completes the output; None where the kernel writes all of it.
    """

    constants: tuple[Constant, ...]
    structs: tuple[Struct | StructArray, ...]
    arguments: tuple[Value, ...]
    notes: tuple[str, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True, eq=False)
class CallContext(Generic[AnyOp]):
    """The facts from which a kernel family makes a call.

    Attributes:
        work: the op and its types.
        input_pointers, output_pointer: C expressions of the tensors' addresses.
        constant_name: what an array is -> its C identifier.
    """

    work: Work[AnyOp]
    input_pointers: tuple[str, ...]
    output_pointer: str
    constant_name: Callable[[str], str]

    @property
    def op(self) -> AnyOp:
        return self.work.op

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        return self.work.inputs

    @property
    def output(self) -> TensorType:
        return self.work.output

    def constant(self, what: str, array: npt.NDArray[np.integer[Any]], note: str) -> Constant:
        """An array of this layer."""
        return Constant(self.constant_name(what), array, note)


def image_dims(name: str, shape: tuple[int, ...]) -> Struct:
    """A `stq_dims` of a (height, width, channels) shape."""
    height, width, channels = shape
    return Struct("stq_dims", name, (fields(h=height, w=width, c=channels),))
