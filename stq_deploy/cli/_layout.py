"""Tables that are readable at any width: where the columns do not fit, a paragraph for each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_UNFOLDED = 140
_ANY_WIDTH = 10_000
_INDENTATION = 4


def light_table(title: str | None = None) -> Table:
    """An empty table in the style of all commands: a line below the head, and no frame."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def print_table(console: Console, table: Table) -> None:
    """Print a table, if it fits the terminal without folded cells; else a paragraph for each row.

    Files and pipes have no width, and get the table in full width.
    """
    from rich.padding import Padding

    if not console.is_terminal:
        console.width = _UNFOLDED
    whole = console.options.update(width=_ANY_WIDTH)
    if not console.is_terminal or console.measure(table, options=whole).maximum <= console.width:
        console.print(table)
        return
    if table.title:
        console.print(table.title)
    for first, others in _paragraphs(table):
        console.print(first)
        console.print(Padding(others, (0, 0, 0, _INDENTATION)))


def _paragraphs(table: Table) -> Iterator[tuple[Text, Text]]:
    """(the first cell, the others with their columns' names) of every row."""
    from rich.text import Text

    names = [" ".join(_text(column.header).plain.split()) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *cells = map(_text, row)
        shown = [
            Text.assemble((f"{name} ", "dim"), Text(", ").join(cell.split()))
            for name, cell in zip(names[1:], cells, strict=True)
            if cell.plain.strip()
        ]
        yield first, Text("; ").join(shown)


def _text(cell: RenderableType) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))
