"""The parser of quantizer texts: what it reads, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.quantizer_text import parse_call


@pytest.mark.parametrize(
    ("text", "name", "positional", "named"),
    [
        ("quantized_relu(4,2)", "quantized_relu", [4, 2], {}),
        ("quantized_relu", "quantized_relu", [], {}),
        (" quantized_relu( 4 , 2 ) ", "quantized_relu", [4, 2], {}),
        ("binary()", "binary", [], {}),
        ("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits", [4, 0, 1], {"alpha": "auto_po2"}),
        ('ternary(alpha="auto",threshold=None)', "ternary", [], {"alpha": "auto", "threshold": None}),
        ("f(-1,+2,0.5,1e-3,.25)", "f", [-1, 2, 0.5, 1e-3, 0.25], {}),
        ("f(True,False,x=True)", "f", [True, False], {"x": True}),
    ],
)
def test_reads(text: str, name: str, positional: list[object], named: dict[str, object]) -> None:
    assert parse_call(text) == (name, positional, named)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "f(",
        "f)",
        "f(1",
        "f(1,",
        "f(1))",
        "f(1)(2)",
        "f(a=1,2)",
        "f(a=1,a=2)",
        "f(g(1))",
        "f(x)",
        "f(1 2)",
        "f(1+1)",
        "f([1])",
        "f('a\\n')",
        "f('__import__(1)')",
        "__import__('os').system('x')",
        "f.g(1)",
        "lambda: 0",
        "f(1)#",
        "f(" + "1," * 200 + ")",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(StqError, match="cannot read the quantizer"):
        parse_call(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        name, positional, named = parse_call(text)
    except StqError:
        return
    assert name.isidentifier()
    assert all(value is None or isinstance(value, int | float | str) for value in [*positional, *named.values()])
