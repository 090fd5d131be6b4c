"""Certified requantization: equal to the exact function at every accumulator, in the cheapest form there is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.frontend.quantizers import ACTIVATION, Quantizer, affine_quantizer, read_quantizer
from stq_deploy.lowering import certify as certify_module
from stq_deploy.lowering import proof
from stq_deploy.lowering.certify import certify
from stq_deploy.lowering.epilogue import Epilogue
from stq_deploy.lowering.stages import Affine, Clip, Monotone, Stage, batch_norm, chain, scaled, shifted
from stq_deploy.network.requantize import (
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)

ROUND = "quantized_relu(4,2)"
RELU = Clip(Fraction(0), None)
CLIPS = [RELU, Clip(Fraction(-1), Fraction(3)), Clip(Fraction(0), Fraction(6))]


def epilogue(what: str | Quantizer, *stages: Stage) -> Epilogue:
    quantizer = what if isinstance(what, Quantizer) else read_quantizer(what, ACTIVATION)
    return Epilogue(chain(*stages), quantizer)


def exact_level(e: Epilogue, channel: int, acc: int) -> int:
    """By definition: run the affine stages and relus forwards in rationals, then count boundaries."""
    v = Fraction(acc)
    for stage in e.stages:
        if isinstance(stage, Affine):
            factor, offset = stage.at(channel)
            v = v * factor + offset
        else:
            assert isinstance(stage, Clip)
            assert stage.low is not None
            v = max(v, stage.low)
            v = v if stage.high is None else min(v, stage.high)
    return e.steps.minimum + e.steps.zero_point + sum(b.holds(v) for b in e.steps.boundaries)


def assert_exact(form: Requantize, e: Epilogue, low: list[int], high: list[int]) -> None:
    for c in range(len(low)):
        acc = np.arange(low[c], high[c] + 1)
        batch = np.zeros((len(acc), len(low)), np.int64) + np.array(low)
        batch[:, c] = acc
        expected = [exact_level(e, c, int(a)) for a in acc]
        assert form.apply(batch)[:, c].tolist() == expected


def arrays(low: list[int], high: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(low, np.int64), np.array(high, np.int64)


NUMBER = st.floats(-4, 4, width=32).map(lambda v: v if abs(v) > 2**-10 else 0.0)
TEXT = st.sampled_from(
    [
        ROUND,
        "quantized_bits(8,3,1,alpha=1)",
        "quantized_bits(3,0)",
        "quantized_relu(8,3)",
        "quantized_relu(2,1)",
        "quantized_relu(4,2,negative_slope=0.25)",
        "quantized_relu(2,1,negative_slope=0.125)",
        "ternary()",
        "binary()",
        "quantized_sigmoid(4,use_real_sigmoid=True)",
        "quantized_tanh(5,use_real_tanh=True)",
        affine_quantizer(-3, 12, Fraction(1, 4)),
        affine_quantizer(0, 255, Fraction(3, 64)),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_affine_epilogue_is_exact(data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 3))
    numbers = st.lists(NUMBER, min_size=channels, max_size=channels)
    scale = [Fraction(v) / data.draw(st.sampled_from([1, 3, 16, 100])) for v in data.draw(numbers)]
    stages: list[Stage] = [scaled(scale), shifted(np.array(data.draw(numbers), np.float32))]
    if data.draw(st.booleans()):
        stages.append(data.draw(st.sampled_from(CLIPS)))
    if data.draw(st.booleans()):
        stages.append(Affine(tuple(Fraction(v) for v in data.draw(numbers)), (Fraction(1, 7),) * channels))
    low = data.draw(st.lists(st.integers(-120, 10), min_size=channels, max_size=channels))
    high = [value + data.draw(st.integers(0, 150)) for value in low]
    e = epilogue(data.draw(TEXT), *stages)
    found = certify(e, *arrays(low, high))
    form = found.requantize
    assert_exact(form, e, low, high)
    if isinstance(form, MultiplierRequantize):
        assert form.overflow_free(*arrays(low, high))
    certificate = found.certificate
    assert certificate.exact
    assert certificate.kind == form.kind
    assert certificate.checked == certificate.accumulators == sum(high) - sum(low) + channels


def test_levels_that_nothing_reaches_are_left_out() -> None:
    """relu6 before a quantizer up to 31.75: the levels above 6 would be steps the multiplier cannot miss."""
    relu6 = Clip(Fraction(0), Fraction(6))
    form = certify(epilogue("quantized_relu(7,5)", scaled([Fraction(1, 9)]), relu6), *arrays([-500], [500])).requantize
    assert isinstance(form, MultiplierRequantize)
    assert (form.minimum, form.maximum) == (0, 24)
    constant = certify(epilogue("quantized_relu(7,5)", scaled([Fraction(1, 9)])), *arrays([-500], [-3])).requantize
    assert (constant.minimum, constant.maximum) == (0, 0)


def test_few_levels_beyond_a_table_get_thresholds() -> None:
    """A sigmoid between 0.5 and 0.95 reaches levels 128 to 244 of a quantizer with 4,096."""
    e = epilogue("quantized_relu(12,4)", scaled([Fraction(1, 100)]), Monotone("sigmoid"))
    form = certify(e, *arrays([0], [300])).requantize
    assert isinstance(form, ThresholdRequantize)
    assert (form.minimum, form.maximum) == (128, 244)
    acc = np.arange(301)
    assert np.array_equal(form.apply(acc[:, None])[:, 0], np.rint(256 / (1 + np.exp(-acc / 100))))


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(-7, 1000), Fraction(0)])
def test_thousands_of_levels_take_64_bit_sums(factor: Fraction) -> None:
    narrow = read_quantizer("quantized_bits(8,3,1)", ACTIVATION)
    wide = Quantizer(narrow.name, {**narrow.parameters, "bits": 13})
    e = Epilogue((Affine((factor, factor * 2), (Fraction(1, 7), Fraction(-2))),), wide)
    low, high = [-40_000, -1000], [30_000, 2000]
    form = certify(e, *arrays(low, high)).requantize
    assert isinstance(form, WideRequantize)
    for c in range(2):
        for acc in [*range(-1000, 2000, 7), low[c], high[c]]:
            batch = np.array([[acc if c == 0 else 0, acc if c == 1 else 0]])
            v = (acc * e.stages[0].at(c)[0] + e.stages[0].at(c)[1]) / e.steps.spacing  # type: ignore[union-attr]
            assert form.apply(batch)[0, c] == min(max(round(v), e.steps.minimum), e.steps.maximum)


@pytest.mark.parametrize("bits", [4, 12])
@pytest.mark.parametrize("slope", [31, 32, 33, 63, 64, 65, 130, 600])
@pytest.mark.parametrize("sign", [1, -1])
def test_lines_too_steep_for_any_multiplier(bits: int, slope: int, sign: int) -> None:
    """A damaged file may state a scale that takes accumulator 0 to one end and 1 to the other, or a finer one."""
    steep = affine_quantizer(0, 2**bits - 1, Fraction(1, 3 * 2**slope))
    e = Epilogue(chain(scaled([Fraction(sign), Fraction(sign, 3)])), steep)
    low, high = [-40, -5], [30, 7]
    assert_exact(certify(e, *arrays(low, high)).requantize, e, low, high)


@pytest.mark.parametrize(("bits", "channels"), [(10, 6), (12, 6), (14, 3), (16, 2)])
def test_many_levels_of_large_sums_take_a_long_multiplier(bits: int, channels: int) -> None:
    """12-bit weights and activations after batch norm: 31 bits of a multiplier cannot put every step in its place."""
    rng = np.random.default_rng(bits)
    bn = batch_norm(*(rng.uniform(0.5, 2, channels).astype(np.float32) for _ in range(4)), 1e-3)
    e = epilogue(f"quantized_bits({bits},3,1,alpha=1)", scaled([Fraction(1, 2**26)]), bn)
    low, high = arrays([-(2**31)] * channels, [2**31 - 1] * channels)
    form = certify(e, low, high).requantize
    assert isinstance(form, LongRequantize)
    assert form.overflow_free(low, high)
    for acc in [-(2**31), -(2**30) + 7, -1, 0, 1, 123_456_789, 2**31 - 1, *rng.integers(-(2**27), 2**27, 50)]:
        expected = [exact_level(e, c, int(acc)) for c in range(channels)]
        assert form.apply(np.full((1, channels), acc))[0].tolist() == expected


def test_many_levels_of_a_curve_take_thresholds() -> None:
    e = epilogue("quantized_bits(11,0,1)", scaled([Fraction(1, 512)]), Monotone("tanh"))
    form = certify(e, *arrays([-2000], [2000])).requantize
    assert isinstance(form, ThresholdRequantize)
    acc = np.arange(-2000, 2001)
    assert np.array_equal(form.apply(acc[:, None])[:, 0], np.clip(np.rint(1024 * np.tanh(acc / 512)), -1023, 1023))


def test_thresholds_that_take_too_much_memory() -> None:
    e = epilogue("quantized_bits(14,0,1)", scaled([Fraction(1, 2**20)]), Monotone("tanh"))
    with pytest.raises(ValueError, match="memory"):
        certify(e, *arrays([-(2**24)] * 8, [2**24] * 8))


def test_batch_norm_gives_a_multiplier() -> None:
    rng = np.random.default_rng(0)
    bn = batch_norm(*(rng.uniform(0.5, 2, 8).astype(np.float32) for _ in range(4)), 1e-3)
    e = epilogue(ROUND, scaled([Fraction(1, 64)]), bn)
    low, high = [-3000] * 8, [3500] * 8
    found = certify(e, *arrays(low, high))
    form = found.requantize
    assert isinstance(form, MultiplierRequantize)
    assert found.certificate.near_ties == 0
    assert found.certificate.smallest_slack > 0


def test_falling_channels() -> None:
    e = epilogue(ROUND, Affine((Fraction(-1, 37), Fraction(1, 41), Fraction(0)), (Fraction(1, 3),) * 3))
    low, high = [-200, -200, -200], [200, 200, 200]
    form = certify(e, *arrays(low, high)).requantize
    assert isinstance(form, MultiplierRequantize)
    assert form.multiplier[0] < 0 < form.multiplier[1]
    assert_exact(form, e, low, high)


def test_ties_at_even_and_odd_levels_are_a_shift() -> None:
    e = epilogue(ROUND, scaled([Fraction(1, 32), Fraction(1, 4)]))  # channel 0: a tie at 4, 12, 20, ...
    low, high = [-100, -100], [100, 100]
    found = certify(e, *arrays(low, high))
    form = found.requantize
    assert isinstance(form, ShiftRequantize)
    assert form.shift.tolist() == [3, 0]
    assert found.certificate.near_ties == 13
    assert_exact(form, e, low, high)


@pytest.mark.parametrize("bias", [0.0, 0.25, -3.0, 100.0, -100.0])
@pytest.mark.parametrize("text", [ROUND, "quantized_relu(8,3)", "quantized_bits(8,3,1,alpha=1)", "quantized_bits(5,1)"])
def test_shifts_with_a_bias_and_constant_channels(text: str, bias: float) -> None:
    """A channel's bias may push it beyond the output's ends, where it is constant."""
    stages = scaled([Fraction(1, 128), Fraction(1, 64)]), shifted(np.array([bias, -bias], np.float32))
    low, high = [-700, -900], [800, 1000]
    form = certify(epilogue(text, *stages), *arrays(low, high)).requantize
    assert_exact(form, epilogue(text, *stages), low, high)


def test_ties_that_round_up_are_a_multiplier() -> None:
    e = epilogue(affine_quantizer(-8, 7, Fraction(1, 4)), scaled([Fraction(1, 32), Fraction(-3, 32)]))
    low, high = [-100, -40], [90, 50]
    found = certify(e, *arrays(low, high))
    form = found.requantize
    assert isinstance(form, MultiplierRequantize)
    assert found.certificate.near_ties > 0
    assert_exact(form, e, low, high)


def test_ties_of_a_falling_channel_need_thresholds_or_a_table() -> None:
    e = epilogue(ROUND, scaled([Fraction(-1, 32)]))
    form = certify(e, *arrays([-100] * 2, [100] * 2)).requantize
    assert isinstance(form, ThresholdRequantize)
    assert_exact(form, e, [-100] * 2, [100] * 2)


def test_many_channels_with_one_small_function_share_a_table() -> None:
    e = epilogue("quantized_sigmoid(4,use_real_sigmoid=True)", scaled([Fraction(1, 16)]))
    low, high = [-60 - c for c in range(32)], [70 - c for c in range(32)]
    form = certify(e, *arrays(low, high)).requantize
    assert isinstance(form, TableRequantize)
    assert form.table.shape == (1, 162)
    assert form.base == -91
    acc = np.array(low)[None]
    expected = np.round(16 / (1 + np.exp(-acc / 16)))
    assert form.apply(acc).tolist() == expected.tolist()


def test_channels_that_contradict_each_other_share_nothing() -> None:
    e = epilogue("quantized_sigmoid(8,use_real_sigmoid=True)", scaled([Fraction(1, 16), Fraction(1, 8)]))
    form = certify(e, *arrays([-9, -9], [9, 9])).requantize
    assert isinstance(form, TableRequantize)
    assert form.table.shape == (2, 19)


WIDE_RANGE = epilogue(ROUND, scaled([Fraction(1, 99991)]), shifted(np.array([0.123], np.float32)))


def test_large_ranges_are_proved_from_both_sides_of_every_step() -> None:
    found = certify(WIDE_RANGE, *arrays([-3_000_000], [4_000_000]))
    form = found.requantize
    assert isinstance(form, MultiplierRequantize)
    certificate = found.certificate
    assert certificate.accumulators == 7_000_001
    # 15 steps within the range; the float64 evaluation looks between them as well, both ends included.
    assert 2 * 15 + 2 <= certificate.checked <= 2 * 15 + 64


def test_the_proof_from_steps_says_what_an_exhaustive_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = arrays([-2_000_000], [2_000_000])
    found = certify(WIDE_RANGE, low, high)
    form = found.requantize
    monkeypatch.setattr(proof, "MAXIMUM_EXHAUSTIVE", 1 << 26)
    oracle = certify(WIDE_RANGE, low, high)
    assert oracle.certificate.checked == 4_000_001 > found.certificate.checked
    assert oracle.certificate.near_ties == found.certificate.near_ties
    assert (form.minimum, form.maximum) == (oracle.requantize.minimum, oracle.requantize.maximum)
    for acc in (-2_000_000, -1, 0, 24_997, 24_998, 1_500_000, 2_000_000):
        assert form.apply(np.array([[acc]]))[0, 0] == exact_level(WIDE_RANGE, 0, acc)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_steps_alone_find_every_wrong_form(data: st.DataObject) -> None:
    """Any multiplier and offset near the right ones: the proof passes exactly those that an exhaustive look passes."""
    e = epilogue("quantized_relu(4,2)", scaled([Fraction(data.draw(st.integers(1, 40)), 997)]))
    low, high = arrays([-300], [900])
    target = e.thresholds(low, high)
    fitted = certify_module._multiplier(target)
    assert fitted is not None
    right, _ = fitted
    move = st.integers(-3, 3)
    form = replace(
        right,
        multiplier=right.multiplier + np.int32(data.draw(move) << data.draw(st.integers(0, 26))),
        offset=right.offset + np.int32(data.draw(move) << data.draw(st.integers(0, 26))),
    )
    acc = np.arange(-300, 901)
    equal = np.array_equal(form.apply(acc[:, None])[:, 0], target.level(0, acc))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "MAXIMUM_EXHAUSTIVE", 0)
        if equal:
            assert proof.prove(form, target, e).exact
        else:
            with pytest.raises(ArithmeticError, match=r"not exact|not monotone"):
                proof.prove(form, target, e)


@pytest.mark.parametrize(
    "form",
    [
        TableRequantize(np.array([[0, 1, 0, 1]], np.int8), 0, 1),
        MultiplierRequantize(np.array([-1], np.int32), np.array([0], np.int32), 0, 0, 0, 1),
        WideRequantize(np.array([-1], np.int32), np.array([0]), np.array([0], np.int8), 0, 1),
        ThresholdRequantize(np.array([[2, 1]], np.int32), np.array([1], np.int8), 0),
        ThresholdRequantize(np.array([[1, 2]], np.int32), np.array([-1], np.int8), 0),
    ],
    ids=lambda form: form.kind,
)
def test_a_form_that_falls_is_no_monotone_one(form: Requantize) -> None:
    """Between two compared accumulators, only a form that never falls must give what it gives at both."""
    one, low, high = np.ones(1, np.int64), np.zeros(1, np.int64), np.full(1, 3)
    assert not form.rises(one, low, high)
    e = epilogue("quantized_relu(1,0)", scaled([Fraction(1, 7)]))
    with pytest.raises(ArithmeticError, match="not monotone"):
        proof.prove(form, e.thresholds(low, high), e)


def test_a_shared_table_must_rise_only_where_a_channel_reads_it() -> None:
    table = TableRequantize(np.array([[2, 1, 0, 1, 2]], np.int8), -2, 2)
    sign, low, high = np.array([-1, 1]), np.array([-2, 0]), np.array([0, 2])
    assert table.rises(sign, low, high)
    assert not table.rises(sign, low, high + 1 * np.array([1, 0]))


def test_channel_far_outside_the_levels_does_not_cost_precision() -> None:
    offsets = (Fraction(1, 3), Fraction(-(10**9)))
    e = epilogue(ROUND, Affine((Fraction(1, 1009), Fraction(1, 1013)), offsets))
    form = certify(e, *arrays([-5000, -5000], [5000, 5000])).requantize
    assert isinstance(form, MultiplierRequantize)
    assert form.multiplier[1] == 0
    assert form.right_shift > 8


def test_a_wrong_form_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    e = epilogue(ROUND, scaled([Fraction(1, 100)]), shifted(np.array([0.1], np.float32)))
    real = certify_module._multiplier

    def off_by_one(target: object) -> tuple[MultiplierRequantize, float]:
        fitted = real(target)  # type: ignore[arg-type]
        assert fitted is not None
        form, slack = fitted
        return replace(form, offset=form.offset + (1 << form.right_shift)), slack

    monkeypatch.setattr(certify_module, "_multiplier", off_by_one)
    with pytest.raises(ArithmeticError, match="not exact"):
        certify(e, *arrays([-500], [500]))


def test_wrong_thresholds_are_noticed_by_the_float64_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    e = epilogue(ROUND, scaled([Fraction(1, 100)]))
    other = epilogue(ROUND, scaled([Fraction(1, 101)]))
    monkeypatch.setattr(
        Epilogue, "thresholds", lambda self, low, high, real=Epilogue.thresholds: real(other, low, high)
    )
    with pytest.raises(ArithmeticError, match="float64"):
        certify(e, *arrays([-500], [500]))
