"""Tables of Markdown pages by their columns, so that a test names the cell it means."""

from __future__ import annotations

import re


def rows_of(page: str, **cells: str) -> list[dict[str, str]]:
    """The rows of all tables that have these cells, in the page's order.

    Args:
        page: Markdown. A cell holds no `|` except as `\\|`.
        cells: column -> content.

    Returns:
        Rows as column -> content. A column's name is in lower case, with `_` for each run of characters that are
        neither letters nor digits: `board_right_differing`. The second column of one name has `_2` behind it.
    """
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in page.splitlines():
        if not line.startswith("|"):
            columns = []
        elif not columns:
            keys = [_key(column) for column in _cells(line)]
            columns = [key if key not in keys[:i] else f"{key}_{keys[:i].count(key) + 1}" for i, key in enumerate(keys)]
        elif set(line) - set("|-: "):
            row = dict(zip(columns, _cells(line), strict=True))
            if all(row.get(column) == content for column, content in cells.items()):
                found.append(row)
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _key(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
