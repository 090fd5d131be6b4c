"""Requantization forms against Python integers, straight from the kernels' contract."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.common.resources import firmware_templates
from stq_deploy.network import TensorType
from stq_deploy.network.requantize import (
    REQUANTIZE_KINDS,
    Form,
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    RoundedRequantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
    check_form,
    of_channels,
)
from tests.helpers.kernels import golden

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(st.integers(-(2**20), 2**20), INT32, INT32, st.integers(0, 11), st.integers(0, 31))
def test_multiplier(acc: int, multiplier: int, offset: int, left: int, right: int) -> None:
    form = MultiplierRequantize(np.array([multiplier], np.int32), np.array([offset], np.int32), left, right, -100, 90)
    # Python's shifts of negative numbers go towards minus infinity, as the contract says.
    expected = min(max((((acc << left) * multiplier >> 32) + offset) >> right, -100), 90)
    assert form.apply(np.array([[acc]])).tolist() == [[expected]]


@given(st.integers(-(2**25), 2**25), INT32, INT32, st.integers(0, 12))
def test_overflow_free_is_what_int32_holds(acc: int, multiplier: int, offset: int, left: int) -> None:
    form = MultiplierRequantize(np.array([multiplier], np.int32), np.array([offset], np.int32), left, 0, 0, 1)
    values = [acc << left, ((acc << left) * multiplier >> 32) + offset]
    fits = all(-(2**31) <= v < 2**31 for v in values)
    assert form.overflow_free(np.array([acc]), np.array([acc])) is fits


@given(INT32, INT32, INT32, st.integers(-(2**62), 2**62), st.integers(0, 62))
def test_long(acc: int, multiplier: int, fraction: int, offset: int, shift: int) -> None:
    words = (np.array([word], np.int32) for word in (multiplier, fraction))
    ends = (np.array([end], np.int32) for end in (-(2**15), 2**15 - 1))
    form = LongRequantize(*words, np.array([offset], np.int64), np.array([shift], np.int8), *ends)
    factor = (multiplier << 32) + fraction
    total = (acc * factor >> 32) + offset
    fits = -(2**63) <= (acc * factor >> 32) < 2**63 and -(2**63) <= total < 2**63
    assert form.overflow_free(np.array([acc]), np.array([acc])) is fits
    if fits:
        assert form.apply(np.array([[acc]])).tolist() == [[min(max(total >> shift, -(2**15)), 2**15 - 1)]]
    assert form.rises(np.array([1]), np.array([0]), np.array([1])) is (factor >= 0)
    assert form.rises(np.array([-1]), np.array([0]), np.array([1])) is (factor <= 0)


@given(
    st.integers(-(2**20), 2**20),
    st.integers(-(2**20), 2**20),
    st.sampled_from([2**30, 2**30 + 1, 1518500250, 2**31 - 1]),
    st.integers(-25, 8),
    st.integers(0, 2),
)
def test_rounded_rounds_twice(acc: int, offset: int, multiplier: int, shift: int, left: int) -> None:
    arrays = np.array([multiplier], np.int32), np.array([offset], np.int32), np.array([shift], np.int8)
    form = RoundedRequantize(*arrays, left, 3, -(2**31), 2**31 - 1)
    expected = golden.by_rounding(acc, multiplier, offset, left + max(shift, 0), max(-shift, 0), 3)
    assert form.apply(np.array([[acc]])).tolist() == [[expected]]
    assert form.rises(np.array([1]), np.array([0]), np.array([1]))
    assert not form.rises(np.array([-1]), np.array([0]), np.array([1]))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9), st.sampled_from([-1, 1]), st.integers(-60, 60))
def test_threshold_counts(thresholds: list[int], sign: int, acc: int) -> None:
    form = ThresholdRequantize(np.array([sorted(thresholds)], np.int32), np.array([sign], np.int8), -3)
    assert form.apply(np.array([[acc]])).tolist() == [[-3 + sum(sign * acc >= t for t in thresholds)]]
    assert form.maximum == -3 + len(thresholds)


def test_tables_shared_and_per_channel() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
    acc = np.array([[-1, 1], [0, -1]])
    assert TableRequantize(rows, -1, 2).apply(acc).tolist() == [[1, 6], [2, 4]]
    assert TableRequantize(rows[:1], -1, 2).apply(acc).tolist() == [[1, 3], [2, 1]]
    for outside in (-2, 2):
        with pytest.raises(IndexError):
            TableRequantize(rows, -1, 2).apply(np.array([[outside, 0]]))


def test_keep() -> None:
    acc = np.array([[-1000, 5]])
    assert KeepAccumulator(2, -1000, 5).apply(acc) is acc


def ints(*values: int, dtype: str = "int32") -> npt.NDArray[np.integer]:
    return np.array(values, dtype)


def forms() -> dict[str, Requantize]:
    """A form of each kind, of three channels, that is consistent for accumulators in [-4, 4]."""
    three, offset, shift = ints(1, 2, 3), ints(0, 1, -1), ints(0, 1, 2, dtype="int8")
    return {
        "multiplier": MultiplierRequantize(three, offset, 1, 2, -8, 7),
        "shift": ShiftRequantize(offset, shift, 0, -8, 7),
        "wide": WideRequantize(three, offset.astype(np.int64), shift, -8, 7),
        "long": LongRequantize(three, offset, offset.astype(np.int64), shift, ints(-8, -8, -8), ints(7, 7, 7)),
        "threshold": ThresholdRequantize(ints(-1, 1, -2, 2, 0, 0).reshape(3, 2), ints(1, 1, -1, dtype="int8"), -1),
        "table": TableRequantize(np.arange(27, dtype=np.int8).reshape(3, 9) % 8, -4, 3),
        "keep": KeepAccumulator(3, -4, 4),
        "rounded": RoundedRequantize(ints(2**30, 2**30, 2**31 - 1), offset, ints(0, -1, 1, dtype="int8"), 1, 0, -8, 7),
    }


KINDS = sorted(REQUANTIZE_KINDS)
ENDS = (np.full(3, -4), np.full(3, 4))
OUTPUT = TensorType((3,), "int8", -8, 7, 1.0)


def test_every_kind_has_its_example() -> None:
    assert sorted(forms()) == KINDS
    for kind, form in forms().items():
        assert form.kind == kind
        check_form(form, *ENDS, OUTPUT)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("multiplier", {"offset": ints(0, 1)}, "multiplier and offset differ"),
        ("multiplier", {"offset": ints(0, 1, -1, dtype="int64")}, "not int32"),
        ("multiplier", {"right_shift": 32}, "outside 0..31"),
        ("multiplier", {"left_shift": 30}, "overflow int32"),
        ("shift", {"shift": ints(0, 1, dtype="int8")}, "offset and shift differ"),
        ("shift", {"shift": ints(0, 1, 2)}, "shift not int8"),
        ("shift", {"shift": ints(0, 1, 31, dtype="int8")}, "outside 0..30"),
        ("shift", {"offset": ints(0, 1, 2**31 - 3)}, "overflow int32"),
        ("rounded", {"shift": ints(0, dtype="int8")}, "multiplier, offset and shift differ"),
        ("rounded", {"offset": ints(0, 1, -1, dtype="int64")}, "not int32"),
        ("rounded", {"shift": ints(0, 1, 2)}, "shift is not int8"),
        ("rounded", {"shift": ints(0, -32, 0, dtype="int8")}, "outside -31..31"),
        ("rounded", {"left_shift": 32}, "left_shift is outside 0..31"),
        ("rounded", {"left_shift": 31}, "a left shift is above 31"),
        ("rounded", {"multiplier": ints(1, -1, 1)}, "a multiplier is below 0"),
        ("rounded", {"left_shift": 29}, "overflow int32"),
        ("rounded", {"zero_point": 2**31 - 1}, "overflow int32"),
        ("wide", {"shift": ints(0, dtype="int8")}, "multiplier, offset and shift differ"),
        ("wide", {"shift": ints(0, 1, 63, dtype="int8")}, "outside 0..62"),
        ("wide", {"offset": ints(0, 1, -1)}, "offset is not int64"),
        ("wide", {"offset": ints(0, 1, 2**63 - 4, dtype="int64")}, "overflow int64"),
        ("long", {"multiplier": ints(1, 2, 3, dtype="int16")}, "multiplier is not int32"),
        ("long", {"fraction": ints(0, 1)}, "multiplier and fraction differ"),
        ("long", {"fraction": ints(0, 1, 2, dtype="int64")}, "fraction is not int32"),
        ("long", {"lowest": ints(0, 1)}, r"not \(C,\)"),
        ("long", {"lowest": ints(0, 1, 2, dtype="int16")}, "lowest or highest is not int32"),
        ("long", {"lowest": ints(0, 0, 5), "highest": ints(7, 7, 4)}, "lowest lies above highest"),
        ("long", {"offset": ints(0, 1, 2**63 - 4, dtype="int64")}, "overflow int64"),
        ("threshold", {"thresholds": ints(1, 2, 3)}, "not int32"),
        ("threshold", {"sign": ints(1, 1, dtype="int8")}, "differ in number"),
        ("threshold", {"sign": ints(1, 0, 1, dtype="int8")}, "neither -1 nor 1"),
        ("threshold", {"thresholds": ints(2, 1, 0, 0, 0, 0).reshape(3, 2)}, "do not ascend"),
        ("table", {"table": np.zeros((2, 9), np.int8)}, "rows differ"),
        ("table", {"table": np.zeros((3, 9), np.int16)}, "not int8"),
        ("table", {"base": -3}, "leave the table"),
        ("table", {"base": -5}, "leave the table"),
        ("keep", {"minimum": -3}, "stated range"),
        ("keep", {"maximum": 3}, "stated range"),
        ("keep", {"maximum": 8}, "leaves the output's range"),
        ("multiplier", {"minimum": -9}, "leaves the output's range"),
    ],
)  # fmt: skip
def test_a_form_checks_its_own_constants(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_form(dataclasses.replace(forms()[kind], **changes), *ENDS, OUTPUT)


def declared_fields() -> dict[str, str]:
    """Field of `stq_requantize` -> its type, as stq_nn.h declares it."""
    header = (firmware_templates() / "kernels" / "include" / "stq_nn.h").read_text()
    structure = header.partition("} stq_requantize;")[0].rpartition("typedef struct {")[2]
    return {name: c_type for c_type, name in re.findall(r"^ +((?:const )?\w+ \*?)(\w+);", structure, re.MULTILINE)}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_settings_are_fields_of_the_c_structure(kind: str) -> None:
    form, declared = forms()[kind], declared_fields()
    for array in form.arrays():
        assert declared[array.field] == f"const {array.values.dtype.name}_t *", array.field
        assert array.values.size > 0
    for name in form.settings():
        assert declared[name] == "int32_t ", name
    assert f"STQ_REQUANTIZE_{kind.upper()}" in (firmware_templates() / "kernels/include/stq_nn.h").read_text()


def test_bytes_of_the_arrays() -> None:
    expected = {"multiplier": 24, "shift": 15, "wide": 12 + 24 + 3, "long": 12 + 12 + 24 + 3 + 12 + 12, "threshold": 27}
    expected |= {"table": 27, "keep": 0, "rounded": 27}
    assert {kind: form.nbytes for kind, form in forms().items()} == expected


def test_a_constant_function_has_no_empty_array() -> None:
    form = ThresholdRequantize(np.zeros((3, 0), np.int32), np.ones(3, np.int8), 5)
    assert [array.field for array in form.arrays()] == ["sign"]
    assert form.settings() == {"minimum": 5, "maximum": 5, "levels": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [[0], [2, 0], [0, 1, 2]])
def test_some_channels_compute_what_they_did(kind: str, kept: list[int]) -> None:
    form, acc = forms()[kind], np.arange(-4, 5)[:, None].repeat(3, axis=1)
    assert (of_channels(form, kept).apply(acc[:, kept]) == form.apply(acc)[:, kept]).all()
    assert of_channels(form, kept).channels == len(kept)


def test_a_row_for_all_channels_stays() -> None:
    shared = TableRequantize(np.arange(9, dtype=np.int8)[None], -4, 3)
    assert of_channels(shared, [1]).table.shape == (1, 9)


def test_a_form_with_a_gap_cannot_be_made() -> None:
    class Halved(KeepAccumulator, Form):
        arrays = Form.arrays

    with pytest.raises(TypeError, match="abstract"):
        Halved(1, 0, 1)
