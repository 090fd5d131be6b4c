"""The decisions of lowering: for each tensor its form, the op that makes it, and what its levels mean.

Decisions are immutable and complete: `emit` adds nothing to them. A list of them prints as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from stq_deploy.common.errors import printable
from stq_deploy.common.text_table import text_table
from stq_deploy.lowering.expression import TensorValue
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.input_format import InputRounding
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import Op


class ValueForm(StrEnum):
    """How the values of a tensor are made."""

    TABLE = "table"
    """Levels, looked up by the levels of one or two tensors."""
    QUANTIZED = "quantized"
    """Levels, an exact function of an accumulator."""
    EXACT = "exact"
    """The accumulators themselves, read before any quantizer."""
    FIXED_POINT = "fixed point"
    """Multiples of a power of two, rounded, because no exact integers of one scale exist."""
    CURVE = "curve"
    """A sigmoid or tanh that no quantizer rounds, in fixed point from a table."""
    SOFTMAX = "softmax"
    """A softmax inside the model, in fixed point."""
    REARRANGED = "rearranged"
    """Levels of other tensors, moved."""
    LOGITS = "logits"
    """The model's output in 32 bits."""


@dataclass(frozen=True, eq=False)
class InputDecision:
    """The network's input.

    Attributes:
        name: name of the tensor.
        keras_layer: the Keras layer whose output it is, or "".
        rounding: see `Network.input_rounding`.
    """

    output: TensorValue
    name: str
    keras_layer: str
    rounding: InputRounding | None


@dataclass(frozen=True, eq=False)
class Decision:
    """How one tensor is made.

    Attributes:
        op: the op, which gets its name and those of its tensors when it is emitted.
        inputs: the tensors it reads.
        name: name of the op and its output; a number is appended where several decisions have the same.
        sources: the Keras layers that the op computes.
        keras_layer: the Keras layer whose output this is, or "".
        certificate: the statement about its requantization or table; None for an op that rounds nothing.
    """

    output: TensorValue
    form: ValueForm
    op: Op
    inputs: tuple[TensorValue, ...]
    name: str
    sources: tuple[str, ...]
    keras_layer: str = ""
    certificate: Certificate | None = None


COLUMNS = ("tensor", "form", "op", "of", "shape", "type", "levels", "step", "certificate")
"""Columns of `Decisions.cells`."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """All decisions about a network, in the order in which its ops run.

    Attributes:
        steps: the decisions that the outputs need; each reads the input or outputs of earlier ones.
        facts: the network's metadata, except what the decisions hold.
    """

    input: InputDecision
    steps: tuple[Decision, ...]
    outputs: tuple[TensorValue, ...]
    facts: Metadata

    @cached_property
    def names(self) -> dict[TensorValue, str]:
        """The tensors' names in the network: those decided, with a number appended where a name is in use."""
        names, taken = {self.input.output: self.input.name}, {self.input.name}
        for step in self.steps:
            names[step.output] = _unique(step.name, taken)
            taken.add(names[step.output])
        return names

    def cells(self) -> list[tuple[str, ...]]:
        """A row of `COLUMNS` for the input and for each decision. Names are untrusted and made printable."""
        names = {x: printable(name) for x, name in self.names.items()}
        first = self.input.output
        rows: list[tuple[str, ...]] = [(names[first], "input", "", "", *_facts_of(first), "")]
        for step in self.steps:
            inputs = ", ".join(names[x] for x in step.inputs)
            rows.append(
                (
                    names[step.output],
                    step.form,
                    step.op.kind,
                    inputs,
                    *_facts_of(step.output),
                    _proved(step.certificate),
                )
            )
        return rows

    def __str__(self) -> str:
        """The decisions as a table of plain text."""
        return text_table([COLUMNS, *self.cells()])


def needed(steps: Sequence[Decision], outputs: Sequence[TensorValue]) -> tuple[Decision, ...]:
    """The decisions that the outputs depend on, in their order."""
    wanted = set(outputs)
    for step in reversed(steps):
        if step.output in wanted:
            wanted.update(step.inputs)
    return tuple(step for step in steps if step.output in wanted)


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def _facts_of(x: TensorValue) -> tuple[str, str, str, str]:
    shape, levels = "x".join(map(str, x.type.shape)), f"{x.type.minimum}..{x.type.maximum}"
    return shape, x.type.dtype, levels, f"{float(x.step):.6g}" if x.uniform else "by channel"


def _proved(certificate: Certificate | None) -> str:
    if certificate is None:
        return ""
    if certificate.exact:
        return f"{certificate.kind}, exact"
    assert certificate.largest_error is not None
    return f"{certificate.kind}, error <= {certificate.largest_error:.3g}"
