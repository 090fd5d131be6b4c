"""Tables of a network's ops and of a model's layers, for `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stq_deploy.cli._screen import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from stq_deploy.frontend import LayerRow
    from stq_deploy.network.summary import OpRow


def op_table(rows: Sequence[OpRow]) -> Table:
    """One row per op of an integer network."""
    table = _table(("op", "kind", "output", "levels"), ("bits", "bytes", "MACs"), ("requantized by",))
    for row in rows:
        bits = str(row.weight_bits) if row.weight_bits else ""
        levels = row.dtype if row.dtype == "int32" else f"{row.levels[0]}..{row.levels[1]}"
        form = row.requantize or ("table" if "table" in row.kind else "")
        numbers = bits, _count(row.weight_bytes), _count(row.macs)
        _add(table, row.name, row.kind, _shape(row.output), levels, *numbers, form)
    totals = _count(sum(row.weight_bytes for row in rows)), _count(sum(row.macs for row in rows))
    _add(table, "total", "", "", "", "", *totals, "")
    return table


def layer_table(rows: Sequence[LayerRow]) -> Table:
    """One row per layer of a Keras or QKeras model."""
    from stq_deploy.frontend.layer_table import NOT_REACHED

    numbers = ("params", "MACs", "bits", "bytes")
    table = _table(("layer", "type", "input", "output", "quantizers"), numbers, ("supported",))
    for row in rows:
        inputs = [_shape(shape) for shape in row.inputs]
        output = "" if row.shape is None else _shape(row.shape)
        bits = "/".join(str(width) for width in dict.fromkeys(row.weight_bits))
        counts = _count(row.parameters), _count(row.macs), bits, _count(row.weight_bytes)
        supported = "?" if row.problem == NOT_REACHED else "no" if row.problem else "as int8" if row.floating else "yes"
        _add(table, row.name, row.type, inputs, output, row.quantizers.values(), *counts, supported)
    totals = (_count(sum(getattr(row, what) for row in rows)) for what in ("parameters", "macs"))
    _add(table, "total", "", "", "", "", *totals, "", _count(sum(row.weight_bytes for row in rows)), "")
    return table


def _table(texts: Sequence[str], numbers: Sequence[str], last: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    for column in last:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str | Iterable[str]) -> None:
    # Names come from the model file: as Text they cannot act as rich's markup.
    from rich.text import Text

    table.add_row(*(Text(printable(cell)) if isinstance(cell, str) else _lines(cell) for cell in cells))


def _lines(texts: Iterable[str]) -> Text:
    from rich.text import Text

    return Text("\n".join(map(printable, texts)))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _count(n: int) -> str:
    return f"{n:,}" if n else ""
