"""A family of kernels: one object with every fact about it that planning and code generation need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from stq_deploy.network.tensor import fits
from stq_deploy.program.kernels.call import CallContext, KernelCall
from stq_deploy.program.kernels.work import AnyOp, Work
from stq_deploy.program.weights import WeightLayout, WeightPacking

ELEMENT_NAMES = {"int8": "s8", "int16": "s16", "int32": "s32"}
"""Storage type -> the end of a C name."""
WEIGHT_NAMES = {1: "b1", 2: "t2", 4: "s4", 8: "s8", 16: "s16"}
"""Bits of a weight -> its part of a C name."""
C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
"""Storage type -> its C type."""
ANY_TYPE = tuple(ELEMENT_NAMES)
HAND_MADE = "the .stq file is hand-made"
"""The cause that an error gives for an op that no conversion makes."""


_PER_ELEMENT = 10
"""Instructions for each output element of an op without an estimate."""
_FUNCTION_BYTES = 700
"""Bytes of code of a function without an estimate."""


@dataclass(frozen=True)
class Instance:
    """How a function is made of code that several functions share: a macro call in `kernels/instances.c`.

    Attributes:
        core: header with the shared code; each implementation may have its own.
        macro: of that header; its first argument is the function's name.
        arguments: the macro's other arguments, which vary between the functions.
    """

    core: str
    macro: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """One C function of a family.

    Attributes:
        function: its name.
        input_types: storage types that it reads.
        weight_bits: bits of a packed weight; 0 for a kernel without weights.
        instance: how it is made of shared code; None if it has a C file of its own, called as the function.
        packing: how its weights are stored.
    """

    function: str
    input_types: tuple[str, ...]
    weight_bits: int = 0
    instance: Instance | None = None
    packing: WeightPacking = "fields"

    @property
    def plain(self) -> str:
        """The function that computes the same from fields; itself where it reads fields."""
        return self.function if self.packing == "fields" else self.function.replace(f"_{self.packing}_", "_t2_")

    def reads(self, work: Work[Any]) -> bool:
        """Whether the function takes inputs and weights of these types."""
        return work.weight_bits == self.weight_bits and all(t.dtype in self.input_types for t in work.inputs)


@dataclass(frozen=True)
class Traffic:
    """Bytes read and written in one inference: counts of array elements, not of bus accesses.

    Attributes:
        activations: in the arena.
        scratch: in the kernels' working memory.
        constants: weights, requantization arrays and tables.
    """

    activations: int
    scratch: int
    constants: int


@dataclass(frozen=True)
class Refusal:
    """Why a family cannot run an op that its kernels' types would allow.

    Attributes:
        what: the fact about the op.
        cause: where it comes from.
    """

    what: str
    cause: str


class KernelSpec(ABC, Generic[AnyOp]):
    """A family of kernels: one way to run the ops of one kind.

    Several families may run the same kind; `choice.candidates` lists those that can run an op. A family that leaves a
    method out cannot be made, so that no fact about a kernel is ever a default.

    Attributes:
        op: the class of ops that it runs.
        cycles_per_instruction: estimated, on a Cortex-M7.
    """

    cycles_per_instruction: ClassVar[float] = 0.85

    def __init__(self, op: type[AnyOp]) -> None:
        self.op = op

    @abstractmethod
    def kernels(self) -> tuple[Kernel, ...]:
        """Every C function of the family; the first that reads an op's types runs it."""

    @abstractmethod
    def limits(self, work: Work[AnyOp]) -> Refusal | None:
        """Why the kernels' contract (`stq_nn.h`) does not hold for an op whose types they read; None if it holds."""

    @abstractmethod
    def weights(self, work: Work[AnyOp]) -> WeightLayout | None:
        """How the kernels read the op's weights; None without weights."""

    @abstractmethod
    def table_bytes(self, work: Work[AnyOp]) -> int:
        """Bytes of the constants that are not weights: requantization arrays and look-up tables."""

    @abstractmethod
    def scratch_bytes(self, work: Work[AnyOp]) -> int:
        """Bytes of working memory: the kernel's `_get_buffer_size`, or 0 without one."""

    @abstractmethod
    def traffic(self, work: Work[AnyOp]) -> Traffic:
        """Bytes that the kernel's loops read and write in one inference."""

    @abstractmethod
    def may_replace(self, work: Work[AnyOp], index: int) -> bool:
        """Whether the output may take the memory of input `index`, from its first byte on."""

    @abstractmethod
    def emit(self, context: CallContext[AnyOp]) -> KernelCall:
        """The call of the kernel, with its constants and parameter structures."""

    def kernel(self, work: Work[AnyOp]) -> Kernel | None:
        """The function that runs an op; None if none reads its types."""
        return next((kernel for kernel in self.kernels() if kernel.reads(work)), None)

    def refusal(self, work: Work[AnyOp]) -> Refusal | None:
        """Why no kernel of the family may run an op whose types it reads; None if one may."""
        for t in work.inputs:
            if not fits("int32", -t.zero_point, t.minimum - t.zero_point, t.maximum - t.zero_point):
                return Refusal(f"the zero point {t.zero_point} does not fit 32 bits", HAND_MADE)
        return self.limits(work)

    def instructions(self, work: Work[AnyOp]) -> int | None:
        """Estimated instructions of one inference on a Cortex-M7; None for a family without an estimate.

        It decides between families that can run the same op, and is not a measurement. A test compares the estimates
        with exact counts.
        """
        return None

    def cycles(self, work: Work[AnyOp]) -> int:
        """Estimated cycles of one inference on a Cortex-M7, from the instructions.

        A family without an estimate has no rival, so its time only stands beside that of other layers.
        """
        instructions = self.instructions(work)
        if instructions is None:
            instructions = work.op.macs(work.inputs, work.output) + _PER_ELEMENT * work.output.elements
        return round(self.cycles_per_instruction * instructions)

    def code(self, kernel: Kernel) -> dict[str, int]:
        """Estimated bytes of code that a function needs, by part; kernels share the parts of equal names."""
        return {kernel.function: _FUNCTION_BYTES}

    def weight_bytes(self, work: Work[AnyOp]) -> int:
        """Bytes of the packed weights."""
        layout = self.weights(work)
        return layout.bytes if layout else 0
