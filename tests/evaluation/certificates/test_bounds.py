"""Interval bounds: equal to the reference without room, never beyond with it, by brute force where that is possible."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.certificates.bounds import Extremes, Interval, op_bounds, propagate
from stq_deploy.evaluation.certificates.linf import parse_linf, prove_linf
from stq_deploy.evaluation.certificates.margins import only_class
from stq_deploy.evaluation.task import scoring_of
from stq_deploy.network import Network, TensorType, reference
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.ops import Curve, Dense, Op, PairTable, Reshape, Softmax, Table
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize, WideRequantize
from tests.helpers.networks import random_levels, random_network


def _around(network: Network, levels: np.ndarray, eps: int) -> Interval:
    spec = network.input_type
    return Interval(*(np.clip(levels + step, spec.minimum, spec.maximum) for step in (-eps, eps)))


@pytest.mark.parametrize("part", range(4))
def test_bounds_hold_every_tensor_of_random_networks(part: int) -> None:
    rng, reached = np.random.default_rng(part), 0
    for seed in range(part, 160, 4):
        network = random_network(seed, input_dtype=("int8", "int16")[seed // 4 % 2])
        levels = random_levels(network, 3, seed)
        exact = propagate(network, Interval(levels, levels))
        for op, found in reference.run_layers(network, levels):
            np.testing.assert_array_equal(exact[op.output].low, found, err_msg=f"{seed} {op.kind}")
            np.testing.assert_array_equal(exact[op.output].high, found, err_msg=f"{seed} {op.kind}")
        for eps in (1, 30):
            around = _around(network, levels, eps)
            bounds = propagate(network, around)
            for _ in range(3):
                kind, some = rng.integers(0, 3, levels.shape), rng.integers(around.low, around.high + 1)
                chosen = np.where(kind == 0, around.low, np.where(kind == 1, around.high, some))
                for op, found in reference.run_layers(network, chosen):
                    own = bounds[op.output]
                    assert (own.low <= found).all() and (found <= own.high).all(), (seed, op.kind)
                    reached += int(((found == own.high) & (own.low < own.high)).sum())
    assert reached > 1000  # bounds as wide as the type's range would hold too


def test_the_smallest_weight_of_16_bits_counts_with_its_size() -> None:
    """-32768 has no opposite in int16."""
    weights = np.array([[-(2**15)], [2**15 - 1]], np.int16)
    spec, output = TensorType((2,), "int8", -4, 4, 1.0), TensorType((1,), "int32", -(2**20), 2**20, 1.0)
    op = Dense("d", ("x",), "y", (), weights, 16, KeepAccumulator(1, -(2**20), 2**20))
    found = op_bounds(op, [Interval(np.array([[-1, 0]]), np.array([[3, 2]]))], [spec], output)
    assert (found.low.item(), found.high.item()) == (-3 * 2**15, 2**15 + 2 * (2**15 - 1))


def _op_cases() -> list[tuple[str, Op, TensorType, TensorType]]:
    rng = np.random.default_rng(0)
    wide = TensorType((1,), "int32", -1000, 1000, 1.0)
    cases: list[tuple[str, Op, TensorType, TensorType]] = []
    for shift in (0, 1, 3):
        table = rng.integers(-500, 500, 9).astype(np.int32)
        spec = TensorType((1,), "int16", -10, 90, 1.0)
        cases.append((f"curve {shift}", Curve("c", ("x",), "y", (), table, base=3, shift=shift), spec, wide))
    table8 = rng.integers(-128, 128, 256).astype(np.int8)
    levels = TensorType((1,), "int8", -60, 60, 1.0)
    cases.append(("table", Table("t", ("x",), "y", (), table8), levels, replace(levels, minimum=-128, maximum=127)))
    return cases


@pytest.mark.parametrize(("op", "spec", "output"), [case[1:] for case in _op_cases()], ids=[c[0] for c in _op_cases()])
def test_functions_of_one_level_have_their_extremes_exactly(op: Op, spec: TensorType, output: TensorType) -> None:
    every = np.arange(spec.minimum, spec.maximum + 1)
    value = op.run([every[:, None]], [spec], output)[:, 0]
    first, last = (a.ravel() for a in np.meshgrid(np.arange(len(every)), np.arange(len(every))))
    first, last = first[first <= last], last[first <= last]
    found = op_bounds(op, [Interval(every[first][:, None], every[last][:, None])], [spec], output)
    wanted = [(value[a : b + 1].min(), value[a : b + 1].max()) for a, b in zip(first, last, strict=True)]
    np.testing.assert_array_equal(np.stack([found.low[:, 0], found.high[:, 0]], axis=1), wanted)


def test_tables_of_pairs_have_their_extremes_exactly() -> None:
    table = np.random.default_rng(1).integers(-128, 128, (7, 5)).astype(np.int8)
    a, b = TensorType((1,), "int8", -2, 4, 1.0), TensorType((1,), "int8", 0, 4, 1.0)
    output = TensorType((1,), "int8", -128, 127, 1.0)
    op = PairTable("p", ("a", "b"), "y", (), table)
    runs = [(i, j, k, n) for i, j in product(range(7), repeat=2) for k, n in product(range(5), repeat=2)]
    runs = [r for r in runs if r[0] <= r[1] and r[2] <= r[3]]
    ends = np.array(runs)
    inputs = [Interval(ends[:, :1] - 2, ends[:, 1:2] - 2), Interval(ends[:, 2:3], ends[:, 3:4])]
    found = op_bounds(op, inputs, [a, b], output)
    for (i, j, k, n), low, high in zip(runs, found.low[:, 0], found.high[:, 0], strict=True):
        block = table[i : j + 1, k : n + 1]
        assert (low, high) == (block.min(), block.max())


def test_an_interval_outside_its_table_is_refused() -> None:
    with pytest.raises(IndexError, match="leaves its table"):
        Extremes(np.arange(4)).between([(np.array([2]), np.array([4]))])


def test_an_op_whose_bounds_nobody_stated_is_refused() -> None:
    """Bounds at the ends would be wrong for an op that falls as its input rises."""

    class Negated(Op):
        kind = "negated"

    spec = TensorType((1,), "int8", -8, 8, 1.0)
    with pytest.raises(StqError, match="no interval bounds are known of a negated"):
        op_bounds(Negated("n", ("x",), "y", ()), [Interval(np.array([[0]]), np.array([[3]]))], [spec], spec)


def test_softmax_stays_within_its_bounds_for_every_input() -> None:
    table = np.array([65536, 40000, 39999, 9000, 5, 0], np.int32)
    spec = TensorType((3,), "int8", -4, 4, 1.0)
    op, output = Softmax("s", ("x",), "y", (), table), TensorType((3,), "int16", 0, 32767, 1.0)
    low, high = np.array([[-1, 0, -2]]), np.array([[2, 3, 0]])
    found = op_bounds(op, [Interval(low, high)], [spec], output)
    every = np.array(list(product(*(range(a, b + 1) for a, b in zip(low[0], high[0], strict=True)))))
    values = op.run([every], [spec], output)
    assert (found.low <= values).all() and (values <= found.high).all()
    assert (found.low[0] == values.min(axis=0)).any() and (found.high[0] == values.max(axis=0)).any()


def _small(form: object, seed: int, weights: np.ndarray | None = None) -> Network:
    """Four pixels, each an input level, through one dense layer to three classes."""
    if weights is None:
        weights = np.random.default_rng(seed).integers(-7, 8, (4, 3)).astype(np.int8)
    pixel = 1 / 255
    tensors = {
        "x": TensorType((2, 2, 1), "int16", 0, 255, pixel),
        "flat": TensorType((4,), "int16", 0, 255, pixel),
        "y": TensorType((3,), "int32", -(2**31), 2**31 - 1, 1.0),
    }
    ops = (
        Reshape("flatten", ("x",), "flat", ()),
        Dense("fc", ("flat",), "y", (), weights, 4, form),  # type: ignore[arg-type]
    )
    return Network(tensors, ops, "x", ("y",))


def _forms() -> list[object]:
    of = np.array
    return [
        KeepAccumulator(3, -(2**31), 2**31 - 1),
        MultiplierRequantize(of([2**27, 2**26, 3 * 2**25], np.int32), of([5, -9, 0], np.int32), 4, 1, -40, 40),
        WideRequantize(of([3, 5, 2], np.int32), of([7, -100, 0], np.int64), of([3, 4, 2], np.int8), -900, 900),
    ]


@pytest.mark.parametrize("form", _forms(), ids=["keep", "multiplier", "wide"])
def test_proofs_hold_against_every_picture_within_them(form: object) -> None:
    proved = missed = 0
    steps = np.array(list(product((-1, 0, 1), repeat=4))).reshape(-1, 2, 2, 1)
    for seed in range(25):
        network = _small(form, seed)
        rng = np.random.default_rng(seed)
        x = np.concatenate([rng.integers(0, 256, (6, 2, 2, 1)), rng.integers(100, 110, (20, 2, 2, 1))]).astype(np.uint8)
        y = reference.run(network, quantize_input(x, network.input_format)).argmax(axis=1)
        y[::9] = (y[::9] + 1) % 3  # a wrong label is never proved
        found = prove_linf("linf:1", 1, network, scoring_of(network, None), x, y)
        for picture, label, one in zip(x, y, found.outcomes, strict=True):
            every = np.clip(picture.astype(int) + steps, 0, 255).astype(np.uint8)
            logits = reference.run(network, quantize_input(every, network.input_format))
            true = bool((logits.argmax(axis=1) == label).all())
            assert true or not one.proved
            proved += one.proved
            missed += true and not one.proved
    assert proved > 200
    # One layer alone: without rounding, the difference's bound is what occurs, and nothing is missed.
    assert missed == 0 if isinstance(form, KeepAccumulator) else missed < proved / 5


def test_the_difference_of_two_logits_proves_what_their_ends_do_not() -> None:
    shared = np.array([[5, 4, 3], [4, 4, 4], [3, 3, 3], [-7, -7, -7]], np.int8)  # class 0 by x_0, and by nothing else
    network = _small(KeepAccumulator(3, -(2**31), 2**31 - 1), 0, shared)
    bounds = propagate(network, Interval(np.full((2, 2, 2, 1), 1), np.full((2, 2, 2, 1), 200)))
    logits = bounds["y"]
    assert (logits.low[:, 0] < logits.high[:, 1]).all()
    assert only_class(network, bounds, np.array([0, 1])).tolist() == [True, False]


@pytest.mark.parametrize("text", ["linf", "linf:", "linf:256", "linf:-1", "linf:0.5", "mirror", "linf:1+mirror"])
def test_other_texts_are_no_bound(text: str) -> None:
    assert parse_linf(text) is None


def _case(seed: int) -> tuple[Network, np.ndarray, np.ndarray]:
    """A random network, pictures and its classes of them."""
    network = random_network(seed)
    x = np.random.default_rng(0).integers(0, 256, (9, *network.input_type.shape)).astype(np.uint8)
    return network, x, reference.run(network, quantize_input(x, network.input_format)).reshape(9, -1).argmax(axis=1)


def test_without_room_what_is_right_is_proved_and_a_network_not_made_for_it_is_called_vacuous() -> None:
    network, x, y = next(case for case in map(_case, range(50)) if len(set(case[2].tolist())) > 1)
    scoring = scoring_of(network, None)
    exact = prove_linf("linf:0", 0, network, scoring, x, y)
    assert exact.proved.correct == exact.right == 9 and not exact.vacuous
    widest = prove_linf("linf:255", 255, network, scoring, x, y)
    assert widest.proved.correct == 0 and widest.vacuous  # pictures of two classes lie within
    assert "Vacuous" in str(widest) and widest.to_json()["vacuous"] is True
