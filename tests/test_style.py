"""What docs/STYLE.md asks of prose, as far as a machine can check it."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
KINDS = (".md", ".py", ".c", ".h", ".j2", ".jinja", ".toml", ".sh", ".yml")
FOLDERS = (".github", "boards", "docs", "firmware_templates", "stq_deploy", "tools")
FILES = [
    path
    for path in sorted([*TOP.glob("*.md"), *(path for folder in FOLDERS for path in (TOP / folder).rglob("*"))])
    if path.suffix in KINDS and path.is_file() and path.name != Path(__file__).name
]
STORED = "after_input_quantisation"
"""A name in sample files that exist, and so in the code that writes and reads it."""

SPELLING = re.compile(
    r"(?i)\b\w*(?:quanti|normali|optimi|initiali|recogni|organi|seriali|summari|minimi|maximi|regulari|randomi|ynchroni)"
    r"s(?:e|ed|es|er|ers|ing|ation|ations)\b"
)
RIDDLES = re.compile(
    r"(?i)\bbut for\b"
    r"|\b(?:is|are|was|were|be|being) told\b"
    r"|\b(?:come|comes|came) of\b"
    r"|\bmoreover\b|\bthereof\b|\bwhereof\b"
    r"|\"\"\"Of "
)
"""Phrases that docs/STYLE.md rules out, and docstrings that need the name before them to be a sentence."""
PROSE = [path for path in FILES if path.name != "STYLE.md"]


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    """What the pattern matches, with a few words around it; a phrase may be wrapped over lines of a comment."""
    joined = re.sub(r"\s*\n[ \t]*(?:#+|\*+(?!/)|//+)?[ \t]*", " ", text.replace(STORED, ""))
    return [joined[max(match.start() - 30, 0) : match.end() + 30] for match in pattern.finditer(joined)]


def test_the_patterns_find_what_they_are_for() -> None:
    assert found(SPELLING, "the requantisation of a sum") == ["the requantisation of a sum"]
    assert found(RIDDLES, "    # all are refused but\n    # for two") == ["    # all are refused but for two"]
    assert found(RIDDLES, "/* the clock is\n * told */") == ["/* the clock is told */"]
    assert not found(RIDDLES, "nothing but a foretaste; he told it")
    assert not found(SPELLING, "precise, promise, otherwise, noise, requantization")


def offences(pattern: re.Pattern[str], paths: list[Path]) -> dict[str, list[str]]:
    """Path -> what the pattern finds there, of the paths where it finds anything."""
    all_found = {path: found(pattern, path.read_text(encoding="utf-8")) for path in paths}
    return {path.relative_to(TOP).as_posix(): words for path, words in all_found.items() if words}


def test_spelling_is_ize() -> None:
    assert len(FILES) > 500
    assert offences(SPELLING, FILES) == {}


def test_no_riddles() -> None:
    assert offences(RIDDLES, PROSE) == {}
