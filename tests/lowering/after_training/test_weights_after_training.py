"""Weights of few bits after training: means, sums and equalized channels, each against a plain calculation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.frontend import read_source
from stq_deploy.frontend import source as s
from stq_deploy.lowering.after_training.equalize import equalize, find_links
from stq_deploy.lowering.after_training.few_bits import few_bit_kernel, integer_range, kernel_values
from stq_deploy.lowering.after_training.method import WeightMethod
from stq_deploy.lowering.after_training.moments import grouped, measure_moments, ungrouped
from stq_deploy.lowering.after_training.rounding import round_adaptively, squared_error
from stq_deploy.lowering.after_training.weights import choose_weights, few_bit_weights, few_samples, with_biases
from stq_deploy.lowering.float_graph import float_view, run_graph
from stq_deploy.network.ops import Window
from tests.helpers.float_models import float_draft, float_pixels

Floats = npt.NDArray[np.float32]


def source_of(folder: Path) -> s.SourceGraph:
    return read_source(float_draft().save_h5(folder / "m.h5"), post_training=True)


def pixels(count: int = 40, seed: int = 0) -> Floats:
    return (float_pixels(count, seed) / 255).astype(np.float32)


def sums(source: s.SourceGraph, x: Floats, floats: bool) -> Mapping[int, Floats]:
    """The values at the biases, which follow every layer with weights."""
    found = run_graph(float_view(source) if floats else source, x)
    return {n: values for n, values in found if isinstance(source.nodes[n], s.BiasNode)}


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("adaptive", [False, True])
def test_corrected_biases_leave_no_mean_error(tmp_path: Path, bits: int, adaptive: bool) -> None:
    """Without quantizers in between, so that nothing but rounded weights moves a mean."""
    source = with_biases(source_of(tmp_path))
    widths = dict.fromkeys(source.floats, bits)
    x = pixels()
    exact = sums(source, x, floats=True)
    assert len(exact) == len(source.floats) == 4
    plain = sums(few_bit_weights(source, widths), x, floats=False)
    chosen = choose_weights(source, {}, x, widths, WeightMethod(correct=True, adaptive=adaptive))
    found = sums(chosen, x, floats=False)
    for n, values in exact.items():
        axes = tuple(range(values.ndim - 1))
        spread = values.std()
        assert np.abs((plain[n] - values).mean(axis=axes)).max() > 0.01 * spread
        assert np.abs((found[n] - values).mean(axis=axes)).max() < 1e-5 * spread


def test_a_layer_without_bias_gets_one_that_changes_nothing(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    graph = with_biases(source)
    assert len(graph.nodes) == len(source.nodes) + 1  # dw has none
    before, after = (list(run_graph(float_view(one), pixels(3)))[-1][1] for one in (source, graph))
    assert np.array_equal(before, after)
    assert len(with_biases(graph).nodes) == len(graph.nodes)


def test_equalized_channels_change_no_bit_of_the_floating_point_model(tmp_path: Path) -> None:
    source = chain()
    x = np.random.default_rng(3).normal(0, 1, (20, 6, 6, 3)).astype(np.float32)
    links = find_links(source)
    kinds = [type(source.nodes[link.maker]).__name__ for link in links]
    assert kinds == ["BiasNode", "BatchNormNode", "ConvolveNode"]
    graph = equalize(source, x)
    before, after = (dict(run_graph(float_view(one), x)) for one in (source, graph))
    assert np.array_equal(before[source.outputs[0]], after[source.outputs[0]])
    for link in links:
        old, new = ranges(before[link.maker]), ranges(after[link.maker])
        assert new.max() / new.min() < old.max() / old.min()
    # Scaled by a power of two, and the quantized kernels follow.
    assert not np.array_equal(graph.floats[1], source.floats[1])
    for n, values in graph.floats.items():
        depthwise = isinstance(graph.nodes[n], s.DepthwiseNode)
        assert np.array_equal(graph.kernels[n].integers, few_bit_kernel(values, depthwise, 8).integers)


def test_a_tensor_that_something_else_reads_is_not_scaled(tmp_path: Path) -> None:
    assert find_links(source_of(tmp_path)) == ()  # sums, products and a flattened image read every tensor
    source = chain()
    assert find_links(replace(source, outputs=(*source.outputs, find_links(source)[0].maker)))[0].maker != 2


def ranges(values: Floats) -> Floats:
    return np.asarray(np.maximum(values, 0).reshape(-1, values.shape[-1]).max(axis=0) + 1e-6)


def chain() -> s.SourceGraph:
    """conv, bias, relu, depthwise, BN, relu, pool, conv, leaky relu, conv; channels of very different ranges."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Floats:
        return (rng.normal(0, 1, shape) * 2.0 ** rng.integers(-5, 5, shape[-1])).astype(np.float32)

    one, three, two = Window((1, 1)), Window((3, 3)), Window((2, 2), (2, 2))
    nodes = (
        s.InputNode("x", (), (6, 6, 3)),
        s.ConvolveNode("a", (0,), (6, 6, 4), one),
        s.BiasNode("a", (1,), (6, 6, 4)),
        s.ClipNode("a", (2,), (6, 6, 4), low=0, high=None),  # type: ignore[arg-type]
        s.DepthwiseNode("b", (3,), (4, 4, 4), three),
        s.BatchNormNode(
            "c", (4,), (4, 4, 4), np.abs(random(4)) + 0.1, random(4), random(4), np.abs(random(4)) + 1, 1e-3
        ),
        s.ClipNode("c", (5,), (4, 4, 4), low=0, high=None),  # type: ignore[arg-type]
        s.MaxPoolNode("d", (6,), (2, 2, 4), two),
        s.ConvolveNode("e", (7,), (2, 2, 5), one),
        s.LeakyNode("e", (8,), (2, 2, 5), slope=0.25),  # type: ignore[arg-type]
        s.ConvolveNode("f", (9,), (2, 2, 2), one),
    )
    floats = {1: random(1, 1, 3, 4), 4: random(3, 3, 4, 1), 8: random(1, 1, 4, 5), 10: random(1, 1, 5, 2)}
    kernels = {n: few_bit_kernel(v, n == 4, 8) for n, v in floats.items()}
    facts = {"name": "chain", "sha256": "", "format": "h5"}
    biases = {2: np.abs(random(4)).astype(np.float64)}
    return s.SourceGraph(nodes, (10,), kernels, biases, "chain", facts, floats=floats)


WINDOW = Window((3, 2), (2, 1), (1, 1), (1, 0), (1, 1))
LAYERS = {
    "convolution": (s.ConvolveNode("n", (0,), (4, 5, 6), WINDOW), (7, 5, 4), (3, 2, 4, 6)),
    "groups": (s.ConvolveNode("n", (0,), (4, 5, 6), WINDOW), (7, 5, 4), (3, 2, 2, 6)),
    "depthwise": (s.DepthwiseNode("n", (0,), (4, 5, 8), WINDOW), (7, 5, 4), (3, 2, 4, 2)),
    "dense": (s.DenseNode("n", (0,), (5,)), (30,), (30, 5)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_is_never_worse_than_to_the_nearest(kind: str, centered: bool, bits: int) -> None:
    """The squared error of a layer's sums, as the layer itself gives them."""
    node, shape, kernel_shape = LAYERS[kind]
    rng = np.random.default_rng(1)
    x = (rng.normal(0.3, 1, (40, *shape)) + rng.normal(0, 1, (40, *(1,) * len(shape)))).astype(np.float32)
    floats = rng.normal(0, 1, kernel_shape).astype(np.float32)
    depthwise = isinstance(node, s.DepthwiseNode)
    wanted = layer(node, x, floats) + rng.normal(0, 0.05, (40, *node.shape)).astype(np.float32)
    kernel = few_bit_kernel(floats, depthwise, bits)
    moments = measure_moments(node, floats.shape, x, wanted - layer(node, x, floats), centered=centered)
    exact = grouped(floats.astype(np.float64), node, shape[-1])
    nearest = grouped(kernel.integers.astype(np.int64), node, shape[-1])
    assert np.array_equal(ungrouped(nearest, node, floats.shape), kernel.integers)
    scale = kernel.scale.reshape(exact.shape[:2])
    found = round_adaptively(exact, scale, nearest, integer_range(bits), moments)
    low, high = integer_range(bits)
    assert low <= found.min() <= found.max() <= high
    assert np.abs(found - np.clip(exact / scale[..., None], low, high)).max() < 1 + 1e-9  # up or down
    errors = []
    for integers in (nearest, found):
        values = kernel_values(replace(kernel, integers=ungrouped(integers, node, floats.shape)), depthwise)
        rest = (layer(node, x, values.astype(np.float32)) - wanted).reshape(-1, node.shape[-1]).astype(np.float64)
        errors.append((rest - (rest.mean(axis=0) if centered else 0)) ** 2)
    before, after = (error.mean(axis=0) for error in errors)
    assert (after <= before * (1 + 1e-6)).all()
    assert after.sum() < before.sum()
    moved = [squared_error(exact, scale, integers, moments).reshape(-1) for integers in (nearest, found)]
    np.testing.assert_allclose(after - before, moved[1] - moved[0], atol=1e-5 * before.max())


def layer(node: s.Node, x: Floats, weights: Floats) -> Floats:
    source = s.SourceGraph((s.InputNode("x", (), x.shape[1:]), node), (1,), {}, {}, "", {}, floats={1: weights})
    return np.asarray(list(run_graph(float_view(source), x))[-1][1], np.float32)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_keep_the_best_scale_of_each_channel(bits: int) -> None:
    values = np.random.default_rng(0).normal(0, 1, (3, 3, 5, 6)).astype(np.float32)
    values[..., 2] = 0
    kernel = few_bit_kernel(values, False, bits)
    low, high = integer_range(bits)
    assert low <= kernel.integers.min() <= kernel.integers.max() <= high
    error = ((kernel_values(kernel, False) - values) ** 2).sum(axis=(0, 1, 2))
    full = np.abs(values).max(axis=(0, 1, 2)) / high
    full[2] = 1
    usual = ((np.clip(np.rint(values / full), low, high) * full - values) ** 2).sum(axis=(0, 1, 2))
    assert (error <= usual + 1e-9).all()
    assert error[2] == 0
    assert error.sum() < 0.95 * usual.sum()


def test_samples_are_spread_and_bounded(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    x = np.arange(1000, dtype=np.float32)
    assert len(few_samples(source, x)) == 256
    assert few_samples(source, x, 3).tolist() == [0, 499, 999]
    assert len(few_samples(source, x[:5])) == 5
