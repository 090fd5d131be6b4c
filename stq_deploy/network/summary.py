"""An integer network as rows, one per op, for `inspect`, `convert` and the reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from stq_deploy.common.errors import printable
from stq_deploy.common.text_table import text_table
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.graph import Network
from stq_deploy.network.ops import Op, WeightedOp


@dataclass(frozen=True)
class OpRow:
    """One op.

    Attributes:
        name, kind: name and kind of the op.
        sources: the Keras layers it computes.
        input, output: shapes without the batch axis.
        dtype: storage type of the output.
        levels: smallest and largest level of the output.
        weights: number of weights.
        weight_bits: width of a packed weight; 0 without weights.
        weight_bytes: bytes of all packed weights.
        macs: multiply-accumulates per inference.
        requantize: its form ("multiplier", "threshold", "table", "keep"), or "".
        certificate: the conversion's certificate, if the network has one for the op.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    input: tuple[int, ...]
    output: tuple[int, ...]
    dtype: str
    levels: tuple[int, int]
    weights: int
    weight_bits: int
    weight_bytes: int
    macs: int
    requantize: str
    certificate: Certificate | None

    @property
    def largest_error(self) -> float | None:
        """The largest error of an inexact form, in real units; None for an exact one."""
        return None if self.certificate is None else self.certificate.largest_error

    def to_json(self) -> dict[str, Any]:
        """The row as JSON-able values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        certificate = {} if self.certificate is None else self.certificate.to_json()
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()} | {"certificate": certificate}


_NAMES_BY_DEFAULT = re.compile(r"(model|sequential|functional)(_[0-9]+)?")


def network_title(network: Network) -> str:
    """Its name for people: the model's, or the model file's where Keras named the model. Untrusted text."""
    name, source = network.name, network.metadata.source
    named = name and not _NAMES_BY_DEFAULT.fullmatch(name)
    return name if named or source is None else PurePath(source.name).stem


def op_rows(network: Network) -> list[OpRow]:
    """Every op of a network, in the order they run."""
    certified = network.metadata.certificates or {}
    return [_row(network, op, macs, certified.get(op.name)) for op, macs in network.macs()]


TEXT_COLUMNS, NUMBER_COLUMNS, LAST_COLUMN = (
    ("op", "kind", "output", "levels"),
    ("bits", "bytes", "MACs"),
    "requantized by",
)
"""Columns of `op_cells`; numbers are aligned to the right."""


def op_cells(rows: Sequence[OpRow]) -> list[tuple[str, ...]]:
    """A table of ops for people: a row for each, then their total. Names are untrusted and made printable."""
    cells = [
        (
            printable(row.name),
            row.kind,
            shape_text(row.output),
            row.dtype if row.dtype == "int32" else f"{row.levels[0]}..{row.levels[1]}",
            str(row.weight_bits) if row.weight_bits else "",
            count_text(row.weight_bytes),
            count_text(row.macs),
            row.requantize or ("table" if "table" in row.kind else ""),
        )
        for row in rows
    ]
    totals = count_text(sum(row.weight_bytes for row in rows)), count_text(sum(row.macs for row in rows))
    return [*cells, ("total", "", "", "", "", *totals, "")]


def op_text(rows: Sequence[OpRow]) -> str:
    """The same table as plain text, with columns of two blanks between them."""
    right = range(len(TEXT_COLUMNS), len(TEXT_COLUMNS) + len(NUMBER_COLUMNS))
    return text_table([(*TEXT_COLUMNS, *NUMBER_COLUMNS, LAST_COLUMN), *op_cells(rows)], right)


def shape_text(shape: Sequence[int]) -> str:
    """A shape such as 32x32x3."""
    return "x".join(map(str, shape))


def count_text(n: int) -> str:
    """A count with its thousands apart; nothing for 0."""
    return f"{n:,}" if n else ""


def _row(network: Network, op: Op, macs: int, certificate: Certificate | None) -> OpRow:
    output = network.tensors[op.output]
    weights, bits = (int(op.weights.size), op.weight_bits) if isinstance(op, WeightedOp) else (0, 0)
    return OpRow(
        name=op.name,
        kind=op.kind,
        sources=op.sources,
        input=network.tensors[op.inputs[0]].shape,
        output=output.shape,
        dtype=output.dtype,
        levels=(output.minimum, output.maximum),
        weights=weights,
        weight_bits=bits,
        weight_bytes=(weights * bits + 7) // 8,
        macs=macs,
        requantize=getattr(getattr(op, "requantize", None), "kind", ""),
        certificate=certificate,
    )
