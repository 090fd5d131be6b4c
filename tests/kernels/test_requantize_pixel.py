"""Requantization over whole ranges of accumulators, against Python's unbounded integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary

INT32 = np.iinfo(np.int32)
EDGES = [INT32.min, INT32.min + 1, -65536, -32769, -32768, -129, -128, -1, 0, 1, 127, 128, 32767, 32768, INT32.max]


def requantize(library: KernelLibrary, struct: arguments.Struct, acc: list[int], dtype: str) -> npt.NDArray[np.int64]:
    output = np.zeros(len(acc), dtype)
    library.call("stq_requantize_pixel", struct, np.array(acc, np.int32), 0, len(acc), output)
    return output.astype(np.int64)


@pytest.mark.parametrize("form", requantizations.FORMS)
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 16, 17])
def test_every_form_and_number_of_channels(library: KernelLibrary, form: str, channels: int) -> None:
    rng = np.random.default_rng(channels)
    for _ in range(20):
        acc = rng.integers(-(10 ** rng.integers(1, 5)), 10 ** rng.integers(1, 5), channels)
        made = requantizations.make(form, acc, rng)
        np.testing.assert_array_equal(
            requantize(library, made.struct, [int(a) for a in acc], made.dtype), made.expected
        )


@pytest.mark.parametrize("first", [0, 1, 5])
def test_part_of_the_channels_leaves_the_others_alone(library: KernelLibrary, first: int) -> None:
    channels, count = 12, 6
    rng = np.random.default_rng(first)
    acc = rng.integers(-1000, 1000, channels)
    for form in requantizations.FORMS:
        made = requantizations.make(form, acc, rng)
        output = np.full(channels, 77, made.dtype)
        part = acc[first : first + count].astype(np.int32)
        library.call("stq_requantize_pixel", made.struct, part, first, count, output)
        expected = np.full(channels, 77)
        expected[first : first + count] = made.expected[first : first + count]
        np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("bounds", [(0, 15), (-128, 127), (-8, 7), (5, 5), (-128, -128), (127, 127)])
def test_multiplier_over_every_accumulator_of_a_layer(library: KernelLibrary, bounds: tuple[int, int]) -> None:
    """60,000 neighbouring accumulators: every step and both ends of the clamp."""
    acc = list(range(-30_000, 30_000))
    multiplier, offset, left, right = 1_234_567_890, 37, 8, 5
    ones = np.ones(len(acc), np.int32)
    struct = arguments.requantize(
        "multiplier", left_shift=left, right_shift=right, minimum=bounds[0], maximum=bounds[1],
        multiplier=ones * multiplier, offset=ones * offset,
    )  # fmt: skip
    expected = [golden.by_multiplier(a, multiplier, offset, left, right, *bounds) for a in acc]
    assert list(requantize(library, struct, acc, "int8")) == expected


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
@pytest.mark.parametrize("multiplier", [-(2**31), -1, 0, 1, 2**30, 2**31 - 1])
def test_multiplier_at_the_edges_of_int32(library: KernelLibrary, dtype: str, multiplier: int) -> None:
    info = np.iinfo(dtype)
    for offset in (1 - 2**30, -1, 0, 2**30 - 1):  # the largest for which no sum leaves int32
        for right in (0, 1, 31):
            ones = np.ones(len(EDGES), np.int32)
            struct = arguments.requantize(
                "multiplier", dtype, right_shift=right, minimum=info.min, maximum=info.max,
                multiplier=(ones * multiplier).astype(np.int32), offset=ones * offset,
            )  # fmt: skip
            expected = [golden.by_multiplier(a, multiplier, offset, 0, right, info.min, info.max) for a in EDGES]
            assert list(requantize(library, struct, EDGES, dtype)) == expected


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_multiplier_anywhere(host_libraries: dict[str, HostLibrary], data: st.DataObject) -> None:
    """Any arguments for which neither the shifted accumulator nor the sum leaves int32, as the contract demands."""
    left, right = data.draw(st.integers(0, 31)), data.draw(st.integers(0, 31))
    acc = data.draw(st.integers(-(2 ** (31 - left)), 2 ** (31 - left) - 1))
    multiplier = data.draw(st.integers(-(2**31), 2**31 - 1))
    high = ((acc << left) * multiplier) >> 32
    offset = data.draw(st.integers(max(-(2**31), -(2**31) - high), min(2**31 - 1, 2**31 - 1 - high)))
    low, top = sorted(data.draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))))
    expected = golden.by_multiplier(acc, multiplier, offset, left, right, low, top)
    for library in host_libraries.values():
        struct = arguments.requantize(
            "multiplier", left_shift=left, right_shift=right, minimum=low, maximum=top,
            multiplier=np.full(5, multiplier, np.int32), offset=np.full(5, offset, np.int32),
        )  # fmt: skip
        assert list(requantize(library, struct, [acc] * 5, "int8")) == [expected] * 5


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("zero_point", [0, -128])
def test_shift_rounds_every_tie_to_even(library: KernelLibrary, shift: int, zero_point: int) -> None:
    """Neighbouring accumulators over several steps: every tie, at even and at odd levels, of both signs."""
    acc = list(range(-5 << shift, (5 << shift) + 1))
    ones = np.ones(len(acc), np.int32)
    for offset in (0, 1, -(1 << shift)):
        struct = arguments.requantize(
            "shift", offset=ones * offset, shift=(ones * shift).astype(np.int8), zero_point=zero_point,
            minimum=-128, maximum=127,
        )  # fmt: skip
        expected = [golden.by_shift(a, offset, shift, zero_point, -128, 127) for a in acc]
        assert list(requantize(library, struct, acc, "int8")) == expected


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_shift_anywhere(host_libraries: dict[str, HostLibrary], data: st.DataObject) -> None:
    """Any arguments for which no sum leaves int32, as the contract demands."""
    shift = data.draw(st.integers(0, 30))
    bound = 2**31 - 1 - 2**shift - 128
    acc = data.draw(st.integers(-bound, bound))
    offset = data.draw(st.integers(max(-bound, -bound - acc), min(bound, bound - acc)))
    zero_point = data.draw(st.integers(-128, 127))
    low, top = sorted(data.draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))))
    expected = golden.by_shift(acc, offset, shift, zero_point, low, top)
    for library in host_libraries.values():
        struct = arguments.requantize(
            "shift", offset=np.full(5, offset, np.int32), shift=np.full(5, shift, np.int8), zero_point=zero_point,
            minimum=low, maximum=top,
        )  # fmt: skip
        assert list(requantize(library, struct, [acc] * 5, "int8")) == [expected] * 5


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 8, 15, 16, 17, 33, 256])
@pytest.mark.parametrize("sign", [-1, 1])
def test_thresholds_around_each_threshold(library: KernelLibrary, levels: int, sign: int) -> None:
    rng = np.random.default_rng(levels)
    thresholds = sorted(int(t) for t in rng.integers(-1000, 1000, levels - 1))
    thresholds[0] = thresholds[min(1, levels - 2)]  # two equal ones: a level that is skipped
    acc = sorted({sign * (t + d) for t in thresholds for d in (-1, 0, 1)} | set(EDGES))
    minimum = -128 if levels == 256 else -3
    struct = arguments.requantize(
        "threshold",
        minimum=minimum,
        thresholds=np.tile(np.array(thresholds, np.int32), (len(acc), 1)),
        sign=np.full(len(acc), sign, np.int8),
    )
    expected = [golden.by_thresholds(a, thresholds, sign, minimum) for a in acc]
    assert list(requantize(library, struct, acc, "int8")) == expected


def test_thresholds_at_the_ends_of_int32(library: KernelLibrary) -> None:
    """-INT32_MIN is not an int32; it lies above every threshold."""
    thresholds = [INT32.min, 0, INT32.max]
    for sign in (-1, 1):
        struct = arguments.requantize(
            "threshold",
            thresholds=np.tile(np.array(thresholds, np.int32), (len(EDGES), 1)),
            sign=np.full(len(EDGES), sign, np.int8),
        )
        expected = [golden.by_thresholds(a, thresholds, sign, 0) for a in EDGES]
        assert list(requantize(library, struct, EDGES, "int8")) == expected
