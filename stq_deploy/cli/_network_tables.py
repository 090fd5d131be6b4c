"""Tables of a network's ops and of a model's layers, for `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stq_deploy.frontend import LayerRow
    from stq_deploy.network.summary import OpRow

_UNFOLDED = 140


def op_table(rows: Sequence[OpRow]) -> Table:
    """One row per op of an integer network."""
    table = _table(("op", "kind", "output", "levels"), ("bits", "bytes", "MACs"), ("requantised by",))
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
    table = _table(("layer", "type", "output", "quantizers"), ("params", "MACs"), ("supported",))
    for row in rows:
        quantizers = "\n".join(row.quantizers.values())
        shape = "" if row.shape is None else _shape(row.shape)
        numbers = _count(row.parameters), _count(row.macs)
        supported = row.problem or ("with --post-training" if row.floating else "yes")
        _add(table, row.name, row.type, shape, quantizers, *numbers, supported)
    totals = _count(sum(row.parameters for row in rows)), _count(sum(row.macs for row in rows))
    _add(table, "total", "", "", "", *totals, "")
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table as wide as the terminal; into a file or pipe, as wide as it needs."""
    if not console.is_terminal:
        console.width = _UNFOLDED
    console.print(table)


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


def _add(table: Table, *cells: str) -> None:
    # Names come from the model file: as Text they cannot act as rich's markup.
    from rich.text import Text

    table.add_row(*(Text(_printable(cell)) for cell in cells))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _count(n: int) -> str:
    return f"{n:,}" if n else ""
