"""docs/MODEL_FILES.md, from the figures of `tools/compare_formats.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

_HEAD = """\
# Model files of others

`tools/compare_formats.py` writes this page. `figures/compare_formats.json` holds the figures, with each file's hash.

## The same network through every format

Two networks are written by several programs from the same weights, and read again. The table counts logits that differ
from those of QKeras 0.9's `.h5` file. The inputs include ties of the input's quantizer.

"""
_FILES = """
## Public files

*Right* means that the outputs equal those of the program that the file is made for. Those of int8 files equal level by
level, others to one part in 10,000 of the largest output. A network of integers gets random levels of its input, and a
floating-point file random numbers. *Differs* counts the outputs beyond that, with the reason. *Read* means that no
program was there to compare with. Keras's files in two pieces, JSON and weights, are joined first.
"""


def page_of(figures: dict[str, Any]) -> str:
    """The page's text."""
    rows = [
        (row["network"], row["way"], f"{row['different']:,} of {row['logits']:,}") for row in figures["same_network"]
    ]
    parts = [_HEAD, _table(("network", "way", "logits that differ"), rows), _FILES]
    for source in figures["sources"]:
        parts.append("".join(_source(source)))
    return "".join(parts)


def _source(source: dict[str, Any]) -> Iterator[str]:
    counts = Counter(file["verdict"] for file in source["files"])
    yield f"\n### {source['title']}\n\n"
    if source["repository"]:
        yield f"Files of `{source['repository']}` at commit `{source['commit'][:12]}`. "
    yield ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) + ".\n\n"
    yield _table(("file", "format", "weights", "verdict"), map(_file, source["files"]))


def _file(file: dict[str, Any]) -> tuple[str, ...]:
    verdict = file["verdict"]
    if file["program"]:
        by = f"{file['program']}, {file['outputs']:,} outputs"
        verdict += (
            f" ({by})" if not file["different"] else f" in {file['different']:,} ({by}; {file['largest']:g} at most)"
        )
        verdict += f". Cause: {file['note']}" if file["note"] else ""
    elif file["because"]:
        verdict += f": {file['because']}"
    name = file["file"].rpartition("trained_models/")[2]
    return f"`{name}`", file["format"].split(",")[0] or "-", file["weights"] or "-", verdict


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """Text of a file as a cell."""
    return " ".join(text.replace("|", "\\|").split())
