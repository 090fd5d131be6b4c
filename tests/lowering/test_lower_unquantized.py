"""Values that layers read before any quantizer has rounded them, and movements of values: all against float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.frontend import source as s
from stq_deploy.lowering import lower
from stq_deploy.network import Network
from stq_deploy.network.ops import Window
from stq_deploy.network.reference import run_layers
from tests.helpers.lowering.source_draft import BITS, RELU, Draft
from tests.helpers.lowering.source_values import source_values

COMBINATIONS = [s.AddNode, s.SubtractNode, s.MultiplyNode, s.MaximumNode, s.MinimumNode, s.AverageNode]


def check(source: s.SourceGraph, outputs: int = 1) -> Network:
    """Lower, run, and compare every output with float64; a level may differ only where float64 is near a tie."""
    network = lower(source)
    spec = network.input_type
    levels = np.random.default_rng(1).integers(spec.minimum, spec.maximum + 1, (6, *spec.shape))
    found = {op.output: result for op, result in run_layers(network, levels)}
    values = source_values(source, (levels - spec.zero_point) * spec.scale)
    assert len(network.outputs) == outputs
    for n, name in zip(source.outputs, network.outputs, strict=True):
        t = network.tensors[name]
        real = (found[name].astype(np.float64) - t.zero_point) * t.scale
        error = getattr(network.metadata.certificates.get(name), "largest_error", None) or 0.0
        assert real.shape == values[n].shape
        assert np.abs(real - values[n]).max() <= error * 1.01 + 1e-9
    return network


def kinds(network: Network) -> list[str]:
    return [op.kind for op in network.ops if op.kind != "reshape"]


def finish(draft: Draft, at: int, quantizer: str = RELU) -> s.SourceGraph:
    return draft.graph(draft.quantize(at, quantizer))


def test_batch_norm_of_levels_is_a_rescale_or_a_table() -> None:
    draft = Draft()
    assert kinds(check(finish(draft, draft.norm(draft.x)))) == ["rescale"]
    draft = Draft()
    assert kinds(check(finish(draft, draft.norm(draft.x, gamma=(0.5,))))) == ["rescale"]
    draft = Draft()
    half = draft.add(s.AffineNode, draft.x, factor=(Fraction(1, 3),), offset=(Fraction(1, 7),))
    assert kinds(check(finish(draft, half))) == ["table"]


def test_sum_of_branches_that_batch_norm_scales() -> None:
    """The residual block of most networks: conv, BN, Add, activation."""
    draft = Draft(shape=(3, 3, 4))
    a = draft.norm(draft.conv(draft.x, 4, scale=(0.3, 0.7)))
    network = check(finish(draft, draft.add(s.AddNode, a, draft.x)))
    assert kinds(network) == ["convolve", "add"]
    assert network.tensors[network.ops[0].output].dtype == "int32"
    assert network.metadata.certificates[network.ops[0].name].largest_error < 1e-6
    draft = Draft(shape=(3, 3, 4))
    a, b = (draft.norm(draft.conv(draft.x, 4, scale=(0.3, 0.7))) for _ in range(2))
    assert kinds(check(finish(draft, draft.add(s.AddNode, a, b, draft.x), BITS)))[2:] == ["add", "add"]


@pytest.mark.parametrize("kind", COMBINATIONS)
@pytest.mark.parametrize("quantizer", [BITS, "quantized_bits(8,2,1,alpha=0.3)"])
@pytest.mark.parametrize("unquantized", [0, 1, 2])
def test_combination(kind: type[s.Node], quantizer: str, unquantized: int) -> None:
    draft = Draft(shape=(3, 2, 2), quantizer=BITS)
    terms = []
    for i in range(2):
        branch = draft.norm(draft.conv(draft.x, 2))
        terms.append(branch if i < unquantized else draft.quantize(branch, quantizer))
    network = check(finish(draft, draft.add(kind, *terms), "quantized_bits(8,5,1,alpha=1)"))
    name = "add" if kind in (s.SubtractNode, s.AverageNode) else kind.__name__.removesuffix("Node").lower()
    assert name in kinds(network) or "pair_table" in kinds(network)


def test_product_of_8_bit_tensors_goes_through_32_bits() -> None:
    draft = Draft(quantizer="quantized_relu(8,0)")
    gate = draft.quantize(draft.conv(draft.x, 2), "quantized_sigmoid(8,use_real_sigmoid=True)")
    product = draft.add(s.MultiplyNode, draft.x, gate)
    network = check(finish(draft, draft.add(s.AddNode, draft.x, product), "quantized_relu(8,1)"))
    assert [t.dtype for t in network.tensors.values()].count("int32") == 1


def test_products_and_averages_that_32_bits_cannot_hold() -> None:
    draft = Draft(shape=(3, 3, 2), quantizer="quantized_bits(8,0,1,alpha=1)")
    cube = draft.add(s.MultiplyNode, draft.x, draft.x, draft.x)
    fifth = draft.add(s.MultiplyNode, cube, cube, draft.x)
    check(finish(draft, draft.add(s.SubtractNode, fifth, draft.x), BITS))
    draft = Draft(shape=(6, 5, 2))
    window = Window((4, 4), (2, 2), pad_before=(1, 2), pad_after=(2, 1))
    pooled = draft.pool(draft.pool(draft.norm(draft.x), s.AveragePoolNode, window), s.AveragePoolNode, Window((3, 3)))
    check(finish(draft, pooled, BITS))
    draft = Draft(shape=(4, 4, 2))
    wide = draft.add(s.SubtractNode, draft.norm(draft.conv(draft.x, 2)), draft.x)
    check(finish(draft, draft.pool(wide, s.AveragePoolNode, Window((3, 3), pad_before=(2, 2), pad_after=(2, 2))), BITS))


def test_clipped_branch_of_a_sum() -> None:
    draft = Draft(shape=(3, 3, 2), quantizer=BITS)
    relu6 = draft.add(s.ClipNode, draft.norm(draft.conv(draft.x, 2)), low=Fraction(0), high=Fraction(6))
    check(finish(draft, draft.add(s.AddNode, relu6, draft.x), BITS))


def test_pool_before_the_quantizer_pools_levels() -> None:
    draft = Draft()
    network = check(finish(draft, draft.norm(draft.pool(draft.conv(draft.x, 3)), gamma=(0.5, 1.5))))
    assert kinds(network) == ["convolve", "max_pool"]
    assert network.tensors[network.ops[0].output].dtype == "int8"


def test_pool_before_a_falling_batch_norm_pools_sums() -> None:
    draft = Draft()
    network = check(finish(draft, draft.norm(draft.pool(draft.conv(draft.x, 3)), gamma=(0.5, -1.5))))
    assert kinds(network) == ["convolve", "max_pool", "rescale"]


def test_average_pool_at_the_edge_and_after_batch_norm() -> None:
    window = Window((3, 3), (2, 2), pad_before=(1, 1), pad_after=(1, 1))
    draft = Draft(shape=(5, 4, 2))
    network = check(finish(draft, draft.pool(draft.norm(draft.conv(draft.x, 3)), s.AveragePoolNode, window), BITS))
    assert kinds(network) == ["convolve", "average_pool"]
    draft = Draft(shape=(4, 4, 3))
    clipped = draft.add(s.ClipNode, draft.norm(draft.conv(draft.x, 3)), low=Fraction(0), high=None)
    check(finish(draft, draft.pool(clipped, s.AveragePoolNode), BITS))
    draft = Draft(shape=(4, 4, 3))
    pooled = draft.flat(draft.pool(draft.x, s.AveragePoolNode, Window((4, 4))))
    assert kinds(check(draft.graph(draft.dense(pooled)))) == ["average_pool", "dense"]


def test_padding_goes_into_the_convolution() -> None:
    draft = Draft(shape=(4, 3, 2))
    padded = draft.add(s.PadNode, draft.x, shape=(7, 5, 2), before=(1, 0), after=(2, 2))
    assert kinds(check(finish(draft, draft.conv(padded, 3, size=3)))) == ["convolve"]


def test_padding_for_others_is_an_op() -> None:
    draft = Draft(shape=(4, 3, 2), quantizer="quantized_bits(4,0,1,alpha=1)")
    padded = draft.add(s.PadNode, draft.x, shape=(6, 5, 2), before=(1, 1), after=(1, 1))
    assert kinds(check(finish(draft, draft.pool(padded)))) == ["pad", "max_pool", "table"]
    draft = Draft(shape=(4, 3, 2))
    padded = draft.add(s.PadNode, draft.norm(draft.conv(draft.x, 2)), shape=(5, 3, 2), before=(1, 0), after=(0, 0))
    check(finish(draft, padded, BITS))


def test_crop_upsample_and_reshape() -> None:
    draft = Draft(shape=(5, 4, 2))
    cropped = draft.add(s.CropNode, draft.norm(draft.conv(draft.x, 2)), shape=(3, 2, 2), before=(1, 2))
    larger = draft.add(s.UpsampleNode, cropped, shape=(6, 6, 2), size=(2, 3))
    assert kinds(check(finish(draft, larger))) == ["convolve", "crop", "upsample"]
    draft = Draft()
    check(finish(draft, draft.flat(draft.norm(draft.conv(draft.x, 2)))))


@pytest.mark.parametrize("axis", [0, 2])
def test_concatenation(axis: int) -> None:
    draft = Draft(shape=(3, 3, 2))
    shape = (9, 3, 2) if axis == 0 else (3, 3, 6)
    a, b = draft.norm(draft.conv(draft.x, 2)), draft.quantize(draft.conv(draft.x, 2), "quantized_bits(6,3,1,alpha=0.3)")
    joined = draft.add(s.ConcatenateNode, a, b, draft.x, shape=shape, axis=axis)
    kinds_found = kinds(check(finish(draft, joined, BITS)))
    assert kinds_found[-1] == "concatenate"
    draft = Draft(shape=(3, 3, 2))
    parts = [
        draft.quantize(draft.conv(draft.x, 2), RELU),
        draft.quantize(draft.conv(draft.x, 2), "quantized_relu(4,1)"),
    ]
    joined = draft.add(s.ConcatenateNode, *parts, draft.x, shape=shape, axis=axis)
    network = check(finish(draft, draft.conv(joined, 2), BITS))
    assert next(op.factors for op in network.ops if op.kind == "concatenate") == (2, 1, 2)  # type: ignore[attr-defined]


def test_batch_norm_after_a_concatenation_is_split() -> None:
    draft = Draft(shape=(3, 3, 2))
    joined = draft.add(s.ConcatenateNode, draft.conv(draft.x, 2), draft.x, shape=(3, 3, 4), axis=2)
    assert kinds(check(finish(draft, draft.norm(joined)))) == ["convolve", "rescale", "concatenate"]


def test_a_sum_read_twice_is_added_up_once() -> None:
    draft = Draft(shape=(3, 3, 2))
    sums = draft.norm(draft.conv(draft.x, 3, scale=(0.3, 0.5, 0.7)))
    a, b = draft.quantize(sums, RELU), draft.quantize(sums, "quantized_tanh(6,use_real_tanh=True)")
    joined = draft.add(s.ConcatenateNode, a, b, shape=(3, 3, 6), axis=2)
    assert kinds(check(finish(draft, joined, BITS))).count("convolve") == 1


def test_several_outputs() -> None:
    draft = Draft(shape=(3, 3, 2))
    image = draft.conv(draft.x, 2)
    network = check(draft.graph(draft.dense(draft.flat(image)), draft.quantize(image, RELU), draft.norm(image)), 3)
    assert [network.tensors[name].shape for name in network.outputs] == [(3,), (3, 3, 2), (3, 3, 2)]


def test_activation_of_many_levels() -> None:
    draft = Draft(shape=(3, 3, 2))
    wide = draft.quantize(draft.norm(draft.conv(draft.x, 3)), "quantized_bits(8,3,1,alpha=1)")
    source = draft.graph(draft.quantize(draft.conv(wide, 2), BITS))
    wide_node = source.nodes[wide]
    assert isinstance(wide_node, s.QuantizeNode)
    many = replace(wide_node.quantizer, parameters={**wide_node.quantizer.parameters, "bits": 14})
    nodes = list(source.nodes)
    nodes[wide] = replace(wide_node, quantizer=many)
    network = check(replace(source, nodes=tuple(nodes)))
    assert network.tensors[network.ops[0].output].dtype == "int16"
    assert network.ops[0].requantize.kind == "wide"  # type: ignore[attr-defined]


def test_functions_before_a_quantizer() -> None:
    draft = Draft(shape=(3, 3, 2), quantizer=BITS)
    at = draft.add(s.LeakyNode, draft.norm(draft.conv(draft.x, 2)), slope=Fraction(3, 16))
    at = draft.add(s.ClipNode, at, low=Fraction(-1), high=Fraction(6))
    check(finish(draft, at, BITS))
    draft = Draft(shape=(3, 3, 2), quantizer=BITS)
    hard = draft.add(
        s.AffineNode, draft.norm(draft.conv(draft.x, 2)), factor=(Fraction(1, 5),), offset=(Fraction(1, 2),)
    )
    hard = draft.add(s.ClipNode, hard, low=Fraction(0), high=Fraction(1))
    check(finish(draft, draft.add(s.AffineNode, hard, factor=(Fraction(2),), offset=(Fraction(-1),)), BITS))


@pytest.mark.parametrize("scale", [(0.25,), (0.3, 0.5)])
def test_convolution_of_what_no_quantizer_rounded(scale: Sequence[float]) -> None:
    """Sums of one scale stay exact while they fit 16 bits; all else is rounded to 15 bits, and says so."""
    draft = Draft(shape=(3, 3, 2))
    network = check(finish(draft, draft.conv(draft.conv(draft.x, 2, scale=scale), 2), "quantized_bits(4,5,1,alpha=1)"))
    assert network.metadata.certificates[network.ops[0].name].exact == (len(scale) == 1)
    draft = Draft(shape=(3, 3, 2))
    normed = draft.norm(draft.conv(draft.x, 2, scale=scale))
    network = check(finish(draft, draft.conv(normed, 2), "quantized_bits(4,5,1,alpha=1)"))
    assert network.tensors[network.ops[0].output].dtype == "int16"
    assert 0 < network.metadata.certificates[network.ops[0].name].largest_error < 2**-10


def test_a_stored_sum_of_unlike_scales_is_joined_and_reshaped() -> None:
    """Two layers read it, so it is a tensor, of integers that are worth something else in each channel."""
    draft = Draft(shape=(3, 3, 2))
    sums = draft.conv(draft.x, 2, scale=(0.25, 0.75))
    joined = draft.add(s.ConcatenateNode, draft.quantize(sums, RELU), sums, shape=(3, 3, 4), axis=2)
    assert "concatenate" in kinds(check(finish(draft, joined, BITS)))
    draft = Draft(shape=(3, 3, 2))
    sums = draft.conv(draft.x, 2, scale=(0.25, 0.75))
    check(draft.graph(draft.quantize(draft.flat(sums), BITS), draft.quantize(sums, RELU)), 2)


@pytest.mark.parametrize("seed", range(4))
def test_convolution_of_pooled_sums_of_unlike_scales(seed: int) -> None:
    """The tensor between states one range for both channels: in the coarser one's steps, that is a wider one."""
    draft = Draft(shape=(3, 3, 6), seed=seed)
    pooled = draft.pool(draft.conv(draft.x, 4, scale=(0.1, 1.0, 0.13, 0.9)))
    network = check(finish(draft, draft.conv(pooled, 2), "quantized_bits(4,5,1,alpha=1)"))
    assert network.tensors[network.ops[-1].inputs[0]].dtype == "int16"


def test_a_sum_that_just_fits_15_bits_may_be_rounded_up() -> None:
    """Its largest value is 32,767 steps, and the certified error of rounding one more."""
    draft = Draft(shape=(1, 1, 2), quantizer="quantized_relu(15,0)")
    sums = draft.conv(draft.x, 2)
    draft.kernels[sums].integers[:] = 1
    network = check(finish(draft, draft.conv(sums, 2), "quantized_bits(4,5,1,alpha=1)"))
    assert network.tensors[network.ops[0].output].dtype == "int16"


@pytest.mark.parametrize("slope", [Fraction(1, 10), Fraction(3, 16), Fraction(1), Fraction(5, 2)])
@pytest.mark.parametrize("scale", [(0.25,), (0.3137, 0.7071)])
def test_leaky_relu_that_no_quantizer_rounds(slope: Fraction, scale: Sequence[float]) -> None:
    """Read by a sum, by a product, and by a convolution; alone, and with batch normalization before and behind it."""
    for normed, kind in itertools.product((False, True), (s.AddNode, s.MultiplyNode, None)):
        draft = Draft(shape=(3, 3, 2), quantizer="quantized_bits(4,1,1,alpha=1)")
        at = draft.conv(draft.x, 2, scale=scale)
        at = draft.norm(at, gamma=(0.7, -1.3)) if normed else at
        at = draft.add(s.LeakyNode, at, slope=slope)
        at = draft.norm(at) if normed else at
        at = draft.conv(at, 2) if kind is None else draft.add(kind, at, draft.x)
        check(finish(draft, at, "quantized_bits(5,3,1,alpha=1)"))
