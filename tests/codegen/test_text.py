"""Untrusted text in C: whatever a name holds, the compiler sees a name, a string or a comment."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.codegen.text import MAXIMUM_STRING_BYTES, comment, identifier, string_literal

NASTY = st.text(st.one_of(st.sampled_from('*/\\?"%\n\r\t\x00\x7f<>{}#'), st.characters()), max_size=80)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv2d", "layer_03_conv2d"),
        ("block/Conv-2D:0", "layer_03_block_conv_2d_0"),
        ("int", "layer_03_int"),
        ("", "layer_03"),
        ("日本", "layer_03"),
        ("_x_", "layer_03_x"),
        ("a" * 100, "layer_03_" + "a" * 40),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert identifier("layer", 3, name) == expected


@given(NASTY)
def test_identifiers_are_identifiers(name: str) -> None:
    # No double underscore, none at the end: such names are the C library's.
    assert re.fullmatch(r"layer_07(_[a-z0-9]+)*", identifier("layer", 7, name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain name", '"plain name"'),
        ('a"b\\c', '"a\\042b\\134c"'),
        ("??/", '"\\077\\077/"'),
        ("line\n2", '"line\\0122"'),
        ("é", '"\\303\\251"'),
        ("x" * 62 + "é", '"' + "x" * 62 + '"'),  # the two bytes of é would end inside it
        ("\ud800", '"\\077"'),
    ],
)
def test_string_literals(text: str, expected: str) -> None:
    assert string_literal(text) == expected


@given(NASTY)
def test_string_literals_hold_the_text(text: str) -> None:
    literal = string_literal(text)
    assert literal.isascii() and literal.isprintable() and "?" not in literal
    data = ast.literal_eval("b" + literal)  # Python reads three-digit octal escapes as C does
    assert len(data) <= MAXIMUM_STRING_BYTES
    whole = text.encode("utf-8", "replace")
    assert whole.startswith(data)
    assert len(data) == len(whole) or len(data) > MAXIMUM_STRING_BYTES - 4


@given(NASTY)
def test_comments_stay_comments(text: str) -> None:
    inside = comment(text)
    assert inside.isascii() and inside.isprintable()
    assert not re.search(r"\*/|/\*|\?\?|\\", inside)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv (relu)", "conv (relu)"),
        ("a*/b", "a* /b"),
        ("/*/", "/ * /"),
        ("*\\", "* /"),
        ("???/", "? ? ?/"),
        ("two\nlines", "two lines"),
        ("x" * 300, "x" * 197 + "..."),
    ],
)
def test_comments(text: str, expected: str) -> None:
    assert comment(text) == expected
