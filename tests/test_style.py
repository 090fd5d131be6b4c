"""What docs/STYLE.md asks of prose, as far as a machine can check it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
KINDS = (".md", ".ipynb", ".py", ".c", ".h", ".j2", ".jinja", ".toml", ".sh", ".yml")
FOLDERS = (".github", "boards", "docs", "firmware_templates", "stq_deploy", "tests", "tools")
FILES = [
    path
    for path in sorted([*TOP.glob("*.md"), *(path for folder in FOLDERS for path in (TOP / folder).rglob("*"))])
    if path.suffix in KINDS and path.is_file() and path.name != Path(__file__).name
]
STORED = "after_input_quantisation"
"""A name in sample files that exist, and so in the code that writes and reads it."""

SPELLING = re.compile(
    r"(?i)\b\w*(?:quanti|normali|optimi|initiali|recogni|organi|seriali|summari|minimi|maximi|regulari|randomi|ynchroni|neutrali)"
    r"s(?:e|ed|es|er|ers|ing|ation|ations)\b"
)
RIDDLES = re.compile(
    r"(?i)\bbut for\b"
    r"|\b(?:is|are|was|were|be|being) told\b"
    r"|\b(?:come|comes|came) of\b"
    r"|\bmoreover\b|\bthereof\b|\bwhereof\b"
    r"|\bas of `"
    r"|(?<!there )\b(?:is|are|was|were) no (?!(?:longer|more|less|fewer|larger|slower|faster|worse|better|limit)\b)"
    r"|\"\"\"(?:Of|As of|That) "
)
"""Phrases that docs/STYLE.md rules out, and docstrings that need the name before them to be a sentence."""
LONGEST = 25
"""Words of a sentence."""
PLAIN = ("stq_deploy", "tests", "tools")
"""Folders whose Python has no longer sentence."""
PLAIN_C = ("boards", "examples", "firmware_templates")
"""Folders whose C has no longer sentence in a comment."""
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "examples").rglob("*.md")])
"""Pages without a longer sentence."""
PROSE = [path for path in FILES if path.name != "STYLE.md"]


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    """What the pattern matches, with a few words around it; a phrase may be wrapped over lines of a comment."""
    joined = re.sub(r"\s*\n[ \t]*(?:#+|\*+(?!/)|//+)?[ \t]*", " ", text.replace(STORED, ""))
    return [joined[max(match.start() - 30, 0) : match.end() + 30] for match in pattern.finditer(joined)]


def test_the_patterns_find_what_they_are_for() -> None:
    assert found(SPELLING, "the requantisation of a sum") == ["the requantisation of a sum"]
    assert found(RIDDLES, "    # all are refused but\n    # for two") == ["    # all are refused but for two"]
    assert found(RIDDLES, "/* the clock is\n * told */") == ["/* the clock is told */"]
    assert found(RIDDLES, "a scale that is no power of two") == ["a scale that is no power of two"]
    assert found(RIDDLES, '    """As of a board."""') == ['    """As of a board."""']
    assert not found(RIDDLES, "nothing but a foretaste; he told it")
    assert not found(RIDDLES, "there is no port; it is no longer open")
    assert not found(SPELLING, "precise, promise, otherwise, noise, requantization")


def words_of(sentence: str) -> int:
    """Number of words; operators and brackets alone are none."""
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def sentences(text: str) -> Iterator[str]:
    """The sentences of a docstring, comment or message.

    A blank line ends one, and so does an entry such as `name: its meaning`, a point of a list, or a row of columns. So
    does a line of code, which is indented within a text at the margin.
    """
    at_margin = not re.search(r"\n\S", text) or re.search(r"^\S", text.partition("\n")[2], re.MULTILINE) is not None
    parts = re.sub(r"\n {4,}" if at_margin else r"\n\s*\n", "\n\n", text)
    for part in re.split(r"\n\s*\n|\n\s*(?=[\w`*][\w, `*.]*: )|\n\s*- |\n(?=\S+ {2,}\S)", parts):
        yield from re.split(r"(?<=[.?!])[*)]*\s+", " ".join(part.split()))


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, comment and error message of a Python file."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "StqError":
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield value.lineno, message(value)
    comment, last = "", 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            follows = token.start[0] == last + 1 and token.line.lstrip().startswith("#")
            if not follows and comment:
                yield last, comment
            text = re.sub(r"\s*#? ?(?:noqa|fmt|type):.*", "", token.string.lstrip("# "))
            comment, last = f"{comment} {text}" if follows else text, token.start[0]
    yield last, comment


def message(node: ast.expr) -> str:
    """A text as the user reads it, with one word for each inserted value; empty if it is computed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "value" for part in node.values)
    return ""


def c_prose(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each comment of a C file or of a template for one."""
    for comment in re.finditer(r"/\*.*?\*/|(?:^[ \t]*//[^\n]*\n)+", source, re.DOTALL | re.MULTILINE):
        text = re.sub(r"^[ \t]*(?:/\*+|\*(?!/)|//+)[ \t]{0,3}", "", comment.group(), flags=re.MULTILINE)
        yield source.count("\n", 0, comment.start()) + 1, text.removesuffix("*/")


def page_prose(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph, point of a list and cell of a table of a Markdown page; not its code.

    Code within a sentence is one word, as a command with its options is.
    """
    without_code = re.sub(r"(?ms)^( *)```.*?^\1```$", lambda code: "\n" * code.group().count("\n"), source)
    without_code = re.sub(r"`[^`\n]+`", "`code`", without_code)
    lines: list[str] = []
    for number, line in enumerate([*without_code.splitlines(), ""], 1):
        begins = re.match(r"\s*$|\s*(?:[-*]|\d+\.) |[|#]", line)
        if begins and lines:
            yield number - len(lines), "\n".join(lines)
            lines = []
        if line.startswith("|"):
            yield from ((number, cell.strip()) for cell in line.strip("|").split("|"))
        elif line.strip() and (lines or not line.startswith("    ")):
            lines.append(line.strip())


def long_sentences(paths: Iterable[Path], texts: Callable[[str], Iterator[tuple[int, str]]]) -> list[str]:
    """Place and text of every sentence that is too long, among the texts of these files."""
    return [
        f"{path.relative_to(TOP)}:{line}: {words_of(sentence)} words: {sentence}"
        for path in paths
        for line, text in texts(path.read_text(encoding="utf-8"))
        for sentence in sentences(text)
        if words_of(sentence) > LONGEST
    ]


@pytest.mark.parametrize("folder", PLAIN)
def test_sentences_are_short(folder: str) -> None:
    paths = sorted((TOP / folder).rglob("*.py"))
    assert paths
    assert long_sentences(paths, prose) == []


@pytest.mark.parametrize("folder", PLAIN_C)
def test_sentences_of_c_are_short(folder: str) -> None:
    paths = sorted(path for path in (TOP / folder).rglob("*") if path.suffix in (".c", ".h", ".j2"))
    assert paths
    assert long_sentences(paths, c_prose) == []


def test_sentences_of_pages_are_short() -> None:
    assert len(PAGES) > 20
    assert long_sentences(PAGES, page_prose) == []


def test_comments_of_c_are_found() -> None:
    source = "/* One. */\nint x; /*\n * Two\n * lines. Three.\n */\n// Four\n// lines.\nint y = 4 / 2;\n"
    found_there = [(line, one) for line, text in c_prose(source) for one in sentences(text) if one]
    assert found_there == [(1, "One."), (2, "Two lines."), (2, "Three."), (6, "Four lines.")]


def test_texts_of_pages_are_found() -> None:
    text = "# A head\nA first\nline.\n\n- One\n  point.\n2. Two\n"
    source = f"{text}\n```c\nint code;\n```\n\n    indented code\n\n| a | b c |\n|---|---|\nEnd."
    found_there = [(line, one) for line, text in page_prose(source) for one in sentences(text) if words_of(one)]
    assert found_there == [
        (1, "# A head A first line."),
        (5, "- One point."),
        (7, "2."),
        (7, "Two"),
        (15, "a"),
        (15, "b c"),
        (17, "End."),
    ]


def test_sentences_are_told_apart() -> None:
    source = '''"""A first line.

A second = sentence (with brackets). Another one
over two lines:

    code = of(the, page)
    more

row    of columns
next   row
"""

# A comment
# of two lines.
raise StqError(f"no {name} here", next="choose a board")
'''
    found_there = [one for _, text in prose(source) for one in sentences(text)]
    assert found_there == [
        "A first line.",
        "A second = sentence (with brackets).",
        "Another one over two lines:",
        "code = of(the, page)",
        "more",
        "row of columns",
        "next row",
        "no value here",
        "choose a board",
        "A comment of two lines.",
    ]
    assert words_of("x + y = z, or (a) - b") == 6


def offences(pattern: re.Pattern[str], paths: list[Path]) -> dict[str, list[str]]:
    """Path -> what the pattern finds there, of the paths where it finds anything."""
    all_found = {path: found(pattern, path.read_text(encoding="utf-8")) for path in paths}
    return {path.relative_to(TOP).as_posix(): words for path, words in all_found.items() if words}


def test_spelling_is_ize() -> None:
    """Tests also have names that users misspell."""
    checked = [path for path in FILES if TOP / "tests" not in path.parents]
    assert len(checked) > 500
    assert offences(SPELLING, checked) == {}


def test_no_riddles() -> None:
    assert offences(RIDDLES, PROSE) == {}
