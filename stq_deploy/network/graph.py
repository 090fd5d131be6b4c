"""The integer network: tensors, and ops in the order they run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.network.canonical import describe
from stq_deploy.network.input_format import PIXELS, Domain, InputFormat, InputRounding
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import FreshNoise, Op, WeightedOp
from stq_deploy.network.output import OutputFormat
from stq_deploy.network.tensor import TensorType

_SMALLEST, _LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127
"""Range of positive normal float32 numbers; samples are quantized in float32."""


@dataclass(frozen=True, eq=False)
class Network:
    """A checked integer network.

    Attributes:
        tensors: every tensor by name.
        ops: in an order in which every tensor is written before it is read.
        input: name of the input tensor (exactly one).
        outputs: names of the output tensors; the first holds the logits.
        metadata: facts that change no result: model name, source file, converter version, certificates and more.
        input_range: the values of the model's input that a pixel's 0 and 1 (as uint8: 0 and 255) stand for.
        input_rounding: how values become levels of the input, where they are not divided by its scale and rounded.
        input_domain: the values that the network was made for, where no quantizer of the model defines them.
            From these three the host computes the levels of samples (`InputFormat`).

    Raises:
        StqError: on construction, if anything is inconsistent; every later step relies on this check.
    """

    tensors: dict[str, TensorType]
    ops: tuple[Op, ...]
    input: str
    outputs: tuple[str, ...]
    metadata: Metadata = field(default_factory=Metadata)
    input_range: tuple[float, float] = PIXELS
    input_rounding: InputRounding | None = None
    input_domain: Domain | None = None

    def __post_init__(self) -> None:
        written = {self.input}
        names: set[str] = set()
        if self.input not in self.tensors:
            raise _inconsistent("the input tensor is not defined", self.input)
        for op in self.ops:
            if op.name in names:
                raise _inconsistent("two ops have this name", op.name)
            names.add(op.name)
            if (op.arity is None and len(op.inputs) < 2) or op.arity not in (None, len(op.inputs)):
                raise _inconsistent(f"needs {op.arity or 'two or more'} inputs, has {len(op.inputs)}", op.name)
            for name in op.inputs:
                if name not in written:
                    raise _inconsistent(f"reads tensor {name!r} before anything writes it", op.name)
            if op.output in written or op.output not in self.tensors:
                raise _inconsistent(f"writes tensor {op.output!r}, which is undefined or written already", op.name)
            try:
                op.check(self.input_types(op), self.tensors[op.output])
            except (ValueError, TypeError, OverflowError) as error:
                raise _inconsistent(str(error), op.name) from error
            written.add(op.output)
        if not self.outputs or any(name not in written for name in self.outputs):
            raise _inconsistent("an output tensor is never written", ", ".join(self.outputs))
        if not _SMALLEST <= self.input_type.scale <= _LARGEST:
            raise _inconsistent(f"the input's scale {self.input_type.scale} is none of float32", self.input)
        if not -_LARGEST <= self.input_range[0] < self.input_range[1] <= _LARGEST:
            raise _inconsistent(f"the input's range is {self.input_range}", self.input)
        try:
            if self.input_rounding is not None:
                self.input_rounding.check(self.input_type)
            if self.input_domain is not None:
                self.input_domain.check()
        except (ValueError, TypeError) as error:
            raise _inconsistent(str(error), self.input) from error
        unused = set(self.tensors) - written
        if unused:
            raise _inconsistent("a tensor is never written", sorted(unused)[0])

    def input_types(self, op: Op) -> list[TensorType]:
        """Types of the tensors `op` reads."""
        return [self.tensors[name] for name in op.inputs]

    @property
    def name(self) -> str:
        """The model's name, or "". Untrusted text."""
        return self.metadata.name or ""

    @property
    def input_type(self) -> TensorType:
        return self.tensors[self.input]

    @property
    def input_format(self) -> InputFormat:
        """How samples become levels of the input tensor."""
        return InputFormat(self.input_type, *self.input_range, self.input_rounding, self.input_domain)

    @property
    def output_type(self) -> TensorType:
        """Type of the first output: the logits."""
        return self.tensors[self.outputs[0]]

    @property
    def output_format(self) -> OutputFormat:
        """The meaning of the first output.

        Raises:
            StqError: the metadata about it are invalid.
        """
        return self.metadata.output_format(self.output_type, len(self.outputs))

    @property
    def has_noise(self) -> bool:
        """Whether the answer to a sample depends on the sample's counter, too (`ops/noise.py`)."""
        return any(isinstance(op, FreshNoise) for op in self.ops)

    @property
    def weight_bits(self) -> list[int]:
        """The widths of weights that occur, ascending."""
        return sorted({op.weight_bits for op in self.ops if isinstance(op, WeightedOp)})

    def macs(self) -> Iterator[tuple[Op, int]]:
        """Every op with its multiply-accumulates per inference."""
        for op in self.ops:
            yield op, op.macs(self.input_types(op), self.tensors[op.output])

    def __eq__(self, other: object) -> bool:
        """Whether the other is what this one is when saved and loaded: the same values, names and metadata."""
        if not isinstance(other, Network):
            return NotImplemented
        (document, arrays), (other_document, other_arrays) = describe(self), describe(other)
        return (
            document == other_document
            and self.metadata == other.metadata
            and all(np.array_equal(array, other_arrays[name]) for name, array in arrays.items())
        )

    def __repr__(self) -> str:
        """One line, without weights and without metadata beside the name."""
        shapes = ", ".join(str(self.tensors[name].shape) for name in self.outputs)
        return f"<Network {self.name!r}: {len(self.ops)} ops, {self.input_type.shape} -> {shapes}>"

    def __hash__(self) -> int:
        return hash((self.input, self.outputs, tuple(op.name for op in self.ops)))

    def sha256(self) -> str:
        """SHA-256 (hex) of what the network computes: ops, tensors, weights; not of its metadata.

        The firmware announces this *model hash*, and every result file records it.
        """
        document, arrays = describe(self)
        digest = hashlib.sha256(document)
        for name in sorted(arrays):
            array = arrays[name]
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def _inconsistent(what: str, where: str) -> StqError:
    return StqError(
        f"inconsistent network: {what}",
        where=where,
        cause="the .stq file is damaged or hand-made, or the converter has a bug",
        next="convert the model again; if it persists, report it with the model file",
    )
