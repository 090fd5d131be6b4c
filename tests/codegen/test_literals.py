"""Numbers and arrays as C."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.codegen.literals import LINE_LENGTH, call, initializers, int32, uint32, wrap


def test_integers() -> None:
    assert [int32(v) for v in (0, -1, 2**31 - 1, -(2**31))] == ["0", "-1", "2147483647", "INT32_MIN"]
    assert [uint32(v) for v in (0, 2**32 - 1)] == ["0u", "4294967295u"]


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_integers_beyond_int32(value: int) -> None:
    with pytest.raises(OverflowError):
        int32(value)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_integers_beyond_uint32(value: int) -> None:
    with pytest.raises(OverflowError):
        uint32(value)


def test_each_row_starts_a_line() -> None:
    assert initializers(np.array([[1, 2], [3, -4]], np.int8)) == "    1, 2,\n    3, -4,"
    assert initializers(np.array([255], np.uint32)) == "    0x000000ffu,"
    assert initializers(np.array([-(2**31)], np.int32)) == "    INT32_MIN,"


@pytest.mark.parametrize("count", [1, 16, 17, 500])
def test_lines_are_short_and_lose_nothing(count: int) -> None:
    items = [str(n * 37 % 1000) for n in range(count)]
    lines = wrap(items, 8)
    assert all(len(line) <= LINE_LENGTH and line == line.rstrip() for line in lines.splitlines())
    assert [item.strip() for item in lines.replace("\n", " ").removesuffix(",").split(",")] == items


def test_calls() -> None:
    assert call("f", ["a", "b"]) == "    return f(a, b);"
    assert call("f", ["a" * 60, "b" * 60]) == f"    return f(\n        {'a' * 60},\n        {'b' * 60});"
