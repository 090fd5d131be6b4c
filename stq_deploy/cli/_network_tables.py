"""Tables of a network's ops and of a model's layers, for `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stq_deploy.common.errors import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from stq_deploy.frontend import InspectedLayer
    from stq_deploy.network.summary import OpRow


def op_table(rows: Sequence[OpRow]) -> Table:
    """One row per op of an integer network."""
    from stq_deploy.network.summary import LAST_COLUMN, NUMBER_COLUMNS, TEXT_COLUMNS, op_cells

    table = _table(TEXT_COLUMNS, NUMBER_COLUMNS, (LAST_COLUMN,))
    for cells in op_cells(rows):
        _add(table, *cells)
    return table


def layer_table(rows: Sequence[InspectedLayer]) -> Table:
    """One row per layer of a Keras or QKeras model."""
    from stq_deploy.frontend.layer_table import NOT_REACHED
    from stq_deploy.network.summary import count_text, shape_text

    numbers = ("params", "MACs", "bits", "bytes")
    table = _table(("layer", "type", "input", "output", "quantizers"), numbers, ("supported",))
    for row in rows:
        inputs = [shape_text(shape) for shape in row.inputs]
        output = "" if row.shape is None else shape_text(row.shape)
        bits = "/".join(str(width) for width in dict.fromkeys(row.weight_bits))
        counts = count_text(row.parameters), count_text(row.macs), bits, count_text(row.weight_bytes)
        supported = "?" if row.problem == NOT_REACHED else "no" if row.problem else "as int8" if row.floating else "yes"
        _add(table, row.name, row.type, inputs, output, row.quantizers.values(), *counts, supported)
    totals = (count_text(sum(getattr(row, what) for row in rows)) for what in ("parameters", "macs"))
    _add(table, "total", "", "", "", "", *totals, "", count_text(sum(row.weight_bytes for row in rows)), "")
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
