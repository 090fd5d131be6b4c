"""Parts of pages that a tool writes: the text between two comments that name the tool."""

from __future__ import annotations


def replace_block(page: str, name: str, content: str) -> str:
    """The page with `content` between the two comments of block `name`.

    Raises:
        ValueError: the page has no such block.
    """
    begin, end = f"<!-- {name}: written by tools/{name} -->\n", f"<!-- end of {name} -->\n"
    before, began, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (began and ended):
        raise ValueError(f"the page has no block {name}: it takes the lines {begin.strip()!r} and {end.strip()!r}")
    return f"{before}{begin}{content}{end}{after}"
