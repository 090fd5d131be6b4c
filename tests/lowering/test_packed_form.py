"""The packed form is found where there is one, equals the certified form at every sum, and is refused elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.lowering import packed_form as search
from stq_deploy.lowering.packed_form import packed_form
from stq_deploy.network.archive import load_network
from stq_deploy.network.ops import Convolve
from stq_deploy.network.requantize import (
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
    of_channels,
)
from stq_deploy.network.requantize.packed import PackedRequantize
from stq_deploy.zoo.shipped import resolve_model

Integers = npt.NDArray[np.int64]


def ints(*values: int) -> Integers:
    return np.array(values, np.int64)


def i32(*values: int) -> npt.NDArray[np.int32]:
    return np.array(values, np.int32)


def levels(form: Any, low: Integers, high: Integers) -> list[Integers]:
    """The levels of every reachable accumulator of each channel."""
    return [
        form_of(form, c).apply(np.arange(low[c], high[c] + 1, dtype=np.int64)[:, None])[:, 0] for c in range(len(low))
    ]


def form_of(form: Any, c: int) -> Any:
    return of_channels(form, [c])


def assert_equal_everywhere(form: Requantize, low: Integers, high: Integers) -> PackedRequantize:
    found = packed_form(form, low, high)
    assert found is not None
    packed = found.requantize
    assert found.certificate.accumulators == int((high - low + 1).sum())
    packed.check_constants(low, high)
    for mine, theirs in zip(levels(packed, low, high), levels(form, low, high), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return packed


def steps_of_a_line(slope: float, offset: float, count: int, low: int, high: int) -> npt.NDArray[np.int32]:
    """First accumulators at which floor(slope * acc + offset) reaches 1 .. count; INT32_MAX for never."""
    acc = np.arange(low, high + 1)
    line = np.floor(slope * acc + offset)
    first = [acc[line >= k][0] if (line >= k).any() else 2**31 - 1 for k in range(1, count + 1)]
    return np.array(first, np.int32)


LINE = steps_of_a_line(0.0101, 3.3, 15, -900, 1200)

FORMS: dict[str, tuple[Requantize, Integers, Integers]] = {
    "multiplier, rising, falling, constant": (
        MultiplierRequantize(i32(1 << 24, -(1 << 25), 0), i32(1000, -77, 9 << 10), 10, 10, 0, 15),
        ints(-3000, -2000, -5), ints(4000, 2500, 5),
    ),
    "all of int16": (
        MultiplierRequantize(i32(1 << 20), i32(1 << 9), 10, 10, -128, 127), ints(-32768), ints(32767),
    ),
    "shift 0: a level for each sum": (
        ShiftRequantize(i32(3), np.zeros(1, np.int8), 0, -8, 7), ints(-100), ints(100),
    ),
    "wide": (
        WideRequantize(i32(123456789, -98765432), ints(1 << 40, -(1 << 39)), np.array([36, 37], np.int8), -128, 127),
        ints(-20000, -15000), ints(20000, 15000),
    ),
    "long with ends of their own": (
        LongRequantize(i32(5000), i32(12345), ints(0), np.array([20], np.int8), i32(-3), i32(5)),
        ints(-1000), ints(1000),
    ),
    "thresholds on a line": (
        ThresholdRequantize(np.stack([LINE, LINE]), np.array([1, -1], np.int8), 0),
        ints(-900, -1200), ints(1200, 900),
    ),
    "one threshold": (
        ThresholdRequantize(i32(17).reshape(1, 1), np.ones(1, np.int8), -1), ints(-500), ints(500),
    ),
    "table": (
        TableRequantize(np.repeat(np.arange(8, dtype=np.int8), 25)[None], -100, 1), ints(-100), ints(99),
    ),
    "keep": (KeepAccumulator(1, -100, 100), ints(-100), ints(100)),
    "one reachable accumulator": (
        MultiplierRequantize(i32(1 << 24), i32(0), 10, 10, 0, 15), ints(7), ints(7),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("form", "low", "high"), FORMS.values(), ids=FORMS)
def test_equal_at_every_reachable_accumulator(form: Requantize, low: Integers, high: Integers) -> None:
    assert_equal_everywhere(form, low, high)


@pytest.mark.parametrize("seed", range(20))
def test_random_multipliers(seed: int) -> None:
    """Those with half a step of slack somewhere need not have a packed form, but what is found is equal."""
    rng = np.random.default_rng(seed)
    channels = 6
    reach = int(rng.integers(10, 30000))
    low, high = -rng.integers(0, reach, channels), rng.integers(0, reach, channels)
    minimum, maximum = ((0, 15), (-128, 127), (-8, 7), (0, 1))[seed % 4]
    steepest = min(2**31 - 1, int((maximum - minimum + 1) * 2**32 / reach))
    left = max(0, 14 - reach.bit_length())
    form = MultiplierRequantize(
        rng.integers(-steepest, steepest, channels).astype(np.int32),
        rng.integers(minimum << 4, maximum << 4, channels).astype(np.int32), left, 4, minimum, maximum,
    )  # fmt: skip
    if packed_form(form, low, high) is not None:
        assert_equal_everywhere(form, low, high)


def uneven() -> ThresholdRequantize:
    """Steps 1, 100 and 101 apart from each other: no line."""
    return ThresholdRequantize(i32(0, 1, 101, 202).reshape(1, 4), np.ones(1, np.int8), 0)


REFUSED: dict[str, tuple[Requantize, Integers, Integers]] = {
    "above int16": (KeepAccumulator(1, -128, 127), ints(-1), ints(32768)),
    "below int16": (KeepAccumulator(1, -128, 127), ints(-32769), ints(1)),
    "too many levels": (KeepAccumulator(1, -200, 200), ints(-200), ints(200)),
    "steps on no line": (uneven(), ints(-500), ints(500)),
    "one channel on no line": (
        ThresholdRequantize(
            np.stack([uneven().thresholds[0], i32(0, 10, 20, 30)]), np.ones(2, np.int8), 0
        ),
        ints(-500, -500), ints(500, 500),
    ),
    "a level that rises and falls": (
        TableRequantize(np.array([[0, 3, 0, 3]], np.int8), 0, 1), ints(0), ints(3),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("form", "low", "high"), REFUSED.values(), ids=REFUSED)
def test_refused(form: Requantize, low: Integers, high: Integers) -> None:
    assert packed_form(form, low, high) is None


def test_steps_that_are_out_of_reach_do_not_matter() -> None:
    """The last two steps are uneven, but no accumulator gets there."""
    assert_equal_everywhere(uneven(), ints(-500), ints(1))


def test_the_proof_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that is one off in its offset's unit is noticed."""
    form, low, high = FORMS["multiplier, rising, falling, constant"]
    fit = search._fit

    def wrong(steps: Any, c: int, shift: int) -> tuple[int, int] | None:
        found = fit(steps, c, shift)
        return None if found is None else (found[0], found[1] + (1 << shift))

    monkeypatch.setattr(search, "_fit", wrong)
    with pytest.raises(ArithmeticError, match="differs from the certified"):
        packed_form(form, low, high)


def test_overflow_is_seen_before_it_happens() -> None:
    form = PackedRequantize(i32(2**31 - 1), i32(2**30 + 2**16), 16, 0, 15)
    assert form.overflow_free(ints(-32768), ints(32767)) is False
    assert form.overflow_free(ints(-32768), ints(100)) is True
    assert form.overflow_free(ints(-32769), ints(100)) is False


def test_every_ternary_convolution_of_the_shipped_network_has_one() -> None:
    """Compared at all sums, 4 million of them; its stored form stays the certified one."""
    network = load_network(resolve_model("zoo:stq-cifar10"))
    found = 0
    for op in network.ops:
        if isinstance(op, Convolve) and op.weight_bits == 2:
            low, high = op.accumulator_range(network.input_types(op)[0])
            assert assert_equal_everywhere(op.requantize, low, high).right_shift == 16
            found += 1
    assert found == 3
