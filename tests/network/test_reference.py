"""The reference executor against loops written from the definitions, over awkward shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import (
    Add,
    Convolve,
    Dense,
    DepthwiseConvolve,
    MaxPool,
    Multiply,
    PairTable,
    Softmax,
    Window,
)
from stq_deploy.network.ops.op import accumulate_exactly
from stq_deploy.network.reference import run, run_layers
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize
from tests.helpers.networks import random_levels, random_network

RNG = np.random.default_rng(0)


def keep(channels: int) -> KeepAccumulator:
    return KeepAccumulator(channels, -(2**31), 2**31 - 1)


def int8(shape: tuple[int, ...], zero_point: int = 0) -> TensorType:
    return TensorType(shape, "int8", -128, 127, 0.5, zero_point)


def int32(shape: tuple[int, ...]) -> TensorType:
    return TensorType(shape, "int32", -(2**31), 2**31 - 1, 1.0)


def windows() -> list[tuple[tuple[int, int], Window]]:
    """(input size, window) over kernels, strides, paddings and dilations, same and valid."""
    found = []
    for size, kernel, stride, dilation in itertools.product(
        [(1, 1), (5, 4), (7, 6)], [(1, 1), (3, 3), (2, 3)], [(1, 1), (2, 2), (1, 3)], [(1, 1), (2, 1)]
    ):
        if stride != (1, 1) and dilation != (1, 1):
            continue
        before, after = Window.same_padding(size, kernel, stride, dilation)
        for window in (Window(kernel, stride, dilation, before, after), Window(kernel, stride, dilation)):
            if min(window.output_size(*size)) >= 1:
                found.append((size, window))
    return found


def naive_windows(x: np.ndarray, window: Window, fill: int) -> np.ndarray:
    """(H, W, C) -> (OH, OW, KH, KW, C) by loops over the output and the kernel."""
    height, width, channels = x.shape
    rows, columns = window.output_size(height, width)
    out = np.full((rows, columns, *window.size, channels), fill, np.int64)
    for i, j, p, q in itertools.product(range(rows), range(columns), range(window.size[0]), range(window.size[1])):
        y = i * window.stride[0] + p * window.dilation[0] - window.pad_before[0]
        z = j * window.stride[1] + q * window.dilation[1] - window.pad_before[1]
        if 0 <= y < height and 0 <= z < width:
            out[i, j, p, q] = x[y, z]
    return out


@pytest.mark.parametrize(("size", "window"), windows())
def test_convolution_depthwise_and_pooling(size: tuple[int, int], window: Window) -> None:
    zero_point = -7
    spec = int8((*size, 3), zero_point)
    x = RNG.integers(-128, 128, (2, *size, 3))
    rows, columns = window.output_size(*size)

    weights = RNG.integers(-8, 8, (*window.size, 3, 4)).astype(np.int8)
    op = Convolve("c", ("x",), "y", (), weights, 4, keep(4), window)
    output = int32((rows, columns, 4))
    op.check([spec], output)
    expected = [np.einsum("ijpqc,pqcf->ijf", naive_windows(s - zero_point, window, 0), weights.astype(int)) for s in x]
    assert np.array_equal(op.run([x], [spec], output), expected)
    assert op.macs([spec], output) == rows * columns * weights.size

    depthwise = DepthwiseConvolve("d", ("x",), "y", (), weights[..., :2], 4, keep(6), window)
    output = int32((rows, columns, 6))
    depthwise.check([spec], output)
    for s, result in zip(x, depthwise.run([x], [spec], output), strict=True):
        sums = np.einsum("ijpqc,pqcm->ijcm", naive_windows(s - zero_point, window, 0), weights[..., :2].astype(int))
        assert np.array_equal(result, sums.reshape(rows, columns, 6))

    if window.dilation == (1, 1) and all(p < k for p, k in zip(window.pad_after, window.size, strict=True)):
        pool = MaxPool("p", ("x",), "y", (), window)
        pool.check([spec], int8((rows, columns, 3), zero_point))
        expected = [naive_windows(s, window, -128).max(axis=(2, 3)) for s in x]
        assert np.array_equal(pool.run([x], [spec], spec), expected)


@pytest.mark.keras
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (7, 6)])
def test_same_padding_is_tensorflows(size: tuple[int, int], kernel: int, stride: int) -> None:
    import tensorflow as tf

    before, after = Window.same_padding(size, (kernel, kernel), (stride, stride))
    window = Window((kernel, kernel), (stride, stride), (1, 1), before, after)
    x, weights = RNG.integers(-9, 10, (1, *size, 2)), RNG.integers(-8, 8, (kernel, kernel, 2, 3)).astype(np.int8)
    op = Convolve("c", ("x",), "y", (), weights, 4, keep(3), window)
    found = op.run([x], [int8((*size, 2))], int32((*window.output_size(*size), 3)))
    expected = tf.nn.conv2d(x.astype(np.float64), weights.astype(np.float64), stride, "SAME")
    assert np.array_equal(found, np.asarray(expected))


def test_dense_add_multiply_pair_table() -> None:
    a, b = int8((6,), 3), TensorType((6,), "int16", -300, 400, 0.25, -5)
    x, y = RNG.integers(-128, 128, (4, 6)), RNG.integers(-300, 401, (4, 6))
    weights = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
    dense = Dense("d", ("a",), "o", (), weights, 8, keep(5))
    assert np.array_equal(dense.run([x], [a], int32((5,))), (x - 3) @ weights.astype(int))
    add = Add("s", ("a", "b"), "o", (), keep(6), (2, -3))
    assert np.array_equal(add.run([x, y], [a, b], int32((6,))), (x - 3) * 2 + (y + 5) * -3)
    assert add.accumulator_range([a, b]) == ((-131) * 2 + 405 * -3, 124 * 2 - 295 * -3)
    product = Multiply("m", ("a", "b"), "o", (), keep(6))
    assert np.array_equal(product.run([x, y], [a, b], int32((6,))), (x - 3) * (y + 5))
    assert product.accumulator_range([a, b]) == (-131 * 405, 124 * 405)
    small = TensorType((6,), "int8", -2, 1, 1.0)
    table = RNG.integers(-128, 128, (4, 4)).astype(np.int8)
    p, q = RNG.integers(-2, 2, (2, 4, 6))
    pair = PairTable("t", ("p", "q"), "o", (), table)
    assert np.array_equal(pair.run([p, q], [small, small], int8((6,))), table[p + 2, q + 2])


@pytest.mark.parametrize("size", [3, 2**11, 2**12, 2**26, 2**27])
def test_products_through_blas_are_exact_on_both_sides_of_each_bound(size: int) -> None:
    left = np.array([[size, size - 1, -size], [size, size, size]])
    right = np.array([[size, 1], [-size, size - 1], [size - 1, -1]])
    expected = [[sum(int(a) * int(b) for a, b in zip(row, column, strict=True)) for column in right.T] for row in left]
    assert accumulate_exactly(left, right).tolist() == expected
    assert accumulate_exactly(left[None, None], right).tolist() == [[expected]]


def test_accumulator_range_is_reached_and_never_left() -> None:
    spec = TensorType((3,), "int8", -5, 90, 1.0, -4)
    weights = np.array([[1, -1], [0, -2], [1, 1]], np.int8)
    dense = Dense("d", ("x",), "o", (), weights, 2, keep(2))
    low, high = dense.accumulator_range(spec)
    every = np.array(list(itertools.product([-5, -4, 0, 90], repeat=3)))
    sums = dense.run([every], [spec], int32((2,)))
    assert (low.tolist(), high.tolist()) == (sums.min(axis=0).tolist(), sums.max(axis=0).tolist())


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_run_within_their_stated_ranges(seed: int) -> None:
    network = random_network(seed)
    levels = random_levels(network, 5)
    outputs = {op.name: result for op, result in run_layers(network, levels)}
    for op in network.ops:
        t = network.tensors[op.output]
        assert outputs[op.name].shape == (5, *t.shape)
        assert outputs[op.name].dtype == np.dtype(t.dtype)
    assert np.array_equal(run(network, levels, batch=2), outputs[network.outputs[0]])
    assert run(network, levels[:0]).shape == (0, *network.output_type.shape)


def test_levels_outside_the_input_are_refused() -> None:
    network = random_network(1)
    levels = random_levels(network, 2)
    levels[0].flat[0] = network.input_type.maximum + 1
    with pytest.raises(OverflowError):
        run(network, levels)


def small_network(**changes: object) -> Network:
    tensors = {"x": int8((2,)), "y": TensorType((3,), "int8", -9, 9, 1.0)}
    requantize = MultiplierRequantize(np.full(3, 2**20, np.int32), np.zeros(3, np.int32), 0, 0, -9, 9)
    op = Dense("d", ("x",), "y", ("d",), np.ones((2, 3), np.int8), 2, requantize)
    parts: dict[str, object] = {"tensors": tensors, "ops": (op,), "input": "x", "outputs": ("y",), **changes}
    return Network(**parts)  # type: ignore[arg-type]


def _dense(weights: np.ndarray, bits: int = 2, channels: int = 3, **names: object) -> Dense:
    requantize = MultiplierRequantize(np.zeros(channels, np.int32), np.zeros(channels, np.int32), 0, 0, -9, 9)
    parts = {"name": "d", "inputs": ("x",), "output": "y", "sources": (), **names}
    return Dense(**parts, weights=weights, weight_bits=bits, requantize=requantize)  # type: ignore[arg-type]


GOOD = np.ones((2, 3), np.int8)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"input": "absent"}, "input tensor is not defined"),
        ({"outputs": ()}, "never written"),
        ({"outputs": ("absent",)}, "never written"),
        ({"ops": ()}, "never written"),
        ({"ops": (_dense(GOOD), _dense(GOOD))}, "two ops have this name"),
        ({"ops": (_dense(GOOD, inputs=("y",)),)}, "before anything writes it"),
        ({"ops": (_dense(GOOD, inputs=("x", "x")),)}, "needs 1 inputs, has 2"),
        ({"ops": (_dense(GOOD, output="x"),)}, "written already"),
        ({"ops": (_dense(GOOD * 2),)}, "leave the range of 2 bits"),
        ({"ops": (_dense(GOOD, bits=3),)}, "is not one of"),
        ({"ops": (_dense(GOOD.astype(np.int64)),)}, "not int8"),
        ({"ops": (_dense(np.ones((3, 3), np.int8)),)}, "inputs differ"),
        ({"ops": (_dense(np.ones((2, 4), np.int8)),)}, "outputs differ"),
        ({"ops": (_dense(GOOD, channels=2),)}, "another number of channels"),
    ],
)
def test_inconsistent_networks_are_refused(changes: dict[str, object], what: str) -> None:
    small_network()
    with pytest.raises(StqError, match="inconsistent network") as caught:
        small_network(**changes)
    assert what in caught.value.what


@pytest.mark.parametrize(
    "table",
    [[65536, 0, 1], [65536, -1, -(2**31), 2**31 - 1, 0], [65535, 0], [65536, -1], [], [[65536]], [65536] * 70_000],
    ids=["rises", "wraps", "not from 1", "below 0", "empty", "of two axes", "too long"],
)
def test_softmax_tables_that_are_none(table: list[int]) -> None:
    output = TensorType((3,), "int16", 0, 32767, 2**-15)
    with pytest.raises(ValueError, match="table"):
        Softmax("s", ("x",), "y", (), np.array(table, np.int32)).check([int8((3,))], output)


def test_softmax_types() -> None:
    op = Softmax("s", ("x",), "y", (), np.array([65536, 0], np.int32))
    narrow, wide = TensorType((3,), "int16", 0, 255, 2**-15), TensorType((1 << 15,), "int16", 0, 32767, 2**-15)
    for x, output, what in (
        (int8((3,)), narrow, "range"),
        (int8((3,)), int8((3,)), "int8"),
        (int8((1 << 15,)), wide, "channels"),
        (int8((4,)), TensorType((3,), "int16", 0, 32767, 2**-15), "shape"),
    ):
        with pytest.raises(ValueError, match=what):
            op.check([x], output)
