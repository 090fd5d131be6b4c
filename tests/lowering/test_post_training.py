"""Post-training quantization: places of the quantizers, and equality of the integer network with the result."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.frontend import read_source
from stq_deploy.frontend import source as s
from stq_deploy.lowering import lower
from stq_deploy.lowering.input_domain import input_grid
from stq_deploy.lowering.post_training import find_places, quantize_graph
from stq_deploy.network import Network
from stq_deploy.network.input_format import Domain, dequantize_input, quantize_input
from stq_deploy.network.metadata import PostTrainingFacts
from stq_deploy.network.reference import run_layers
from stq_deploy.pipeline import Conversion, PostTraining, convert_model, load_any
from stq_deploy.pipeline.pipeline import Pipeline
from tests.helpers.float_models import SHAPE, float_draft, float_pixels
from tests.helpers.lowering.source_draft import BITS, RELU, Draft
from tests.helpers.lowering.source_values import source_values
from tests.helpers.model_files import tiny_model

PIXELS = input_grid(Domain(0.0, 1.0), 8)


def samples(count: int = 12) -> SampleSet:
    return SampleSet(float_pixels(count), np.zeros(count, np.int64))


def features(count: int = 12) -> SampleSet:
    x = np.random.default_rng(0).normal(-20, 30, (count, *SHAPE)).astype(np.float32)
    return SampleSet(x, np.zeros(count, np.int64), SampleMetadata(range=(-200, 200)))


def layers_with_quantizers(source: s.SourceGraph) -> list[str]:
    return [node.layer for node in source.nodes if isinstance(node, s.QuantizeNode)]


def assert_equals_the_quantized_graph(source: s.SourceGraph, network: Network, levels: np.ndarray) -> None:
    """Every quantized tensor, and the logits, against an evaluation of the same graph in float64 by plain loops."""
    values = source_values(source, (levels - network.input_type.zero_point) * network.input_type.scale)
    by_layer = {node.layer: n for n, node in enumerate(source.nodes) if not isinstance(node, s.SoftmaxNode)}
    compared = 0
    for op, found in run_layers(network, levels):
        if op.name in network.metadata.keras_outputs or op.output in network.outputs:
            n = by_layer[network.metadata.keras_outputs.get(op.name, op.sources[0])]
            t = network.tensors[op.output]
            real = (found.astype(np.int64) - t.zero_point) * t.scale
            error = getattr(network.metadata.certificates.get(op.name), "largest_error", None) or 0.0
            np.testing.assert_allclose(real, values[n], atol=error + 1e-9, err_msg=op.name)
            compared += 1
    assert compared > 4


@pytest.mark.parametrize("method", ["minmax", "mse"])
@pytest.mark.parametrize("input_range", [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)])
def test_the_network_equals_the_quantized_graph(tmp_path: Path, method: str, input_range: tuple[float, float]) -> None:
    path = float_draft().save_h5(tmp_path / "m.h5")
    network = convert_model(path, Conversion(input_range, PostTraining(samples(), method)))
    assert network.input_range == input_range
    x = float_pixels(20, seed=5)
    levels = quantize_input(x, network.input_format)
    assert len(np.unique(levels)) >= 255  # all that a pixel can be, or nearly
    source = read_source(path, post_training=True)
    low, high = input_range
    calibrated = (low + float_pixels() / 255 * (high - low)).astype(np.float32)
    quantized = quantize_graph(source, calibrated, method, input_grid(Domain(*input_range), 8))
    assert lower(quantized).ops[0].name == network.ops[0].name
    assert_equals_the_quantized_graph(quantized, network, levels)
    # and the quantized graph is near the float one
    exact = source_values(source, low + x / 255 * (high - low))[-2]
    logits = source_values(quantized, dequantize_input(levels, network.input_type).astype(np.float64))[-2]
    assert np.abs(logits - exact).max() < 0.1 * np.abs(exact).max()


def test_quantizers_stand_where_integers_are_needed_and_nowhere_else(tmp_path: Path) -> None:
    source = read_source(float_draft().save_h5(tmp_path / "m.h5"), post_training=True)
    quantized = quantize_graph(source, (float_pixels() / 255).astype(np.float32), "minmax", PIXELS)
    # relu1 branches off, bn2 is a summand, relu2 branches off, dw before and after its sigmoid, the product is pooled.
    assert layers_with_quantizers(quantized) == ["image", "relu1", "bn2", "relu2", "dw", "dw", "gated"]
    levels = [node.quantizer for node in quantized.nodes if isinstance(node, s.QuantizeNode)]
    assert str(levels[0]) == "affine(0,255,1/255)"
    assert str(levels[5]) == "affine(0,255,1/256)"
    kinds = [op.kind for op in lower(quantized).ops]
    assert kinds == [
        "convolve", "convolve", "add", "depthwise_convolve", "table", "multiply", "max_pool", "reshape", "dense",
    ]  # fmt: skip


def test_weights_are_int8_per_channel(tmp_path: Path) -> None:
    draft = float_draft()
    kernel = draft.arrays["conv1"]["kernel"]
    kernel[..., 1] = 0
    source = read_source(draft.save_h5(tmp_path / "m.h5"), post_training=True)
    (conv, dw) = (next(k for at, k in source.kernels.items() if source.nodes[at].layer == x) for x in ("conv1", "dw"))
    assert (conv.bits, conv.integers.dtype, conv.scale.shape) == (8, np.int8, (4,))
    assert np.abs(conv.integers).max(axis=(0, 1, 2)).tolist() == [127, 0, 127, 127]
    np.testing.assert_allclose(conv.integers * conv.scale, kernel, atol=np.abs(kernel).max() / 254 * 1.001)
    assert dw.scale.shape == (4,)
    assert np.abs(dw.integers).max(axis=(0, 1, 3)).tolist() == [127] * 4


def test_a_plain_model_needs_no_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("tensorflow", "qkeras", "tf_keras"):
        monkeypatch.setitem(sys.modules, name, None)
    path = float_draft().save_h5(tmp_path / "m.h5")
    assert convert_model(path, Conversion(post_training=PostTraining(samples()))).ops


@pytest.mark.keras
def test_layers_with_quantizers_keep_them(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("fc")["kernel_quantizer"] = None
    path = draft.save_h5(tmp_path / "m.h5")
    x = SampleSet(np.random.default_rng(0).integers(0, 256, (4, 6, 5, 2)).astype(np.uint8), np.zeros(4, np.int64))
    network = convert_model(path, Conversion(post_training=PostTraining(x)))
    assert [getattr(op, "weight_bits", None) for op in network.ops] == [2, None, None, 8]
    draft.settings("fc")["kernel_quantizer"] = "quantized_bits(4,0,1,alpha='auto_po2')"
    without = convert_model(draft.save_h5(tmp_path / "q.h5"))
    assert network.input_type == without.input_type
    for op, other in zip(network.ops[:3], without.ops[:3], strict=True):
        assert network.tensors[op.output] == without.tensors[other.output]


def test_what_is_concatenated_gets_one_quantizer() -> None:
    draft = Draft(shape=(4, 4, 2), quantizer=RELU)
    a = draft.pool(draft.norm(draft.conv(draft.x, 3), gamma=(9.0,)))
    b = draft.pool(draft.conv(draft.x, 3), s.AveragePoolNode)
    joined = draft.add(s.ConcatenateNode, a, b, shape=(2, 2, 6), axis=2)
    graph = draft.graph(draft.dense(draft.flat(joined)))
    places = find_places(graph)
    assert [graph.nodes[n].layer for n in places.nodes] == ["batchnorm_3", "convolve_5", "averagepool_6"]
    assert (places.groups[3], places.groups[5], places.groups[6]) == (3, 5, 3)
    quantized = quantize_graph(
        graph, np.random.default_rng(0).uniform(0, 4, (8, 4, 4, 2)).astype(np.float32), "mse", None
    )
    quantizers = [str(node.quantizer) for node in quantized.nodes if isinstance(node, s.QuantizeNode)]
    assert quantizers[0] == RELU and quantizers[1] == quantizers[3] != quantizers[2]
    network = lower(quantized)
    concatenate = next(op for op in network.ops if op.kind == "concatenate")
    assert network.tensors[concatenate.output].dtype == "int8"
    assert_equals_the_quantized_graph_of(quantized, network)


def assert_equals_the_quantized_graph_of(source: s.SourceGraph, network: Network) -> None:
    spec = network.input_type
    levels = np.random.default_rng(1).integers(spec.minimum, spec.maximum + 1, (6, *spec.shape))
    *_, (_, found) = run_layers(network, levels)
    expected = source_values(source, (levels - spec.zero_point) * spec.scale)[source.outputs[0]]
    np.testing.assert_allclose(found.astype(np.int64) * network.output_type.scale, expected, atol=1e-5)


def test_leaky_and_conv1d_shapes() -> None:
    """A view that keeps the channels stands between a 1-D convolution and its batch norm; a slope becomes a table."""
    draft = Draft(shape=(9, 2), quantizer=BITS)
    rows = draft.add(s.ReshapeNode, draft.x, shape=(1, 9, 2))
    conv = draft.conv(rows, 4)
    back = draft.norm(draft.add(s.ReshapeNode, conv, shape=(9, 4)))
    leaky = draft.add(s.LeakyNode, back, slope=Fraction(3, 10))
    graph = draft.graph(draft.dense(draft.flat(leaky)))
    assert [graph.nodes[n].layer for n in find_places(graph).nodes] == [
        graph.nodes[back].layer,
        graph.nodes[leaky].layer,
    ]
    quantized = quantize_graph(graph, np.random.default_rng(0).normal(0, 3, (8, 9, 2)).astype(np.float32), "mse", None)
    network = lower(quantized)
    assert [op.kind for op in network.ops if op.kind != "reshape"] == ["convolve", "table", "dense"]
    assert_equals_the_quantized_graph_of(quantized, network)


def test_features_are_calibrated(tmp_path: Path) -> None:
    path, made = float_draft().save_h5(tmp_path / "m.h5"), features()
    network = convert_model(path, Conversion(post_training=PostTraining(made, "minmax")))
    spec = network.input_type
    low, high = (level - spec.zero_point for level in (spec.minimum, spec.maximum))
    # The whole range that the file states, whatever the samples seen are: another sample may be anywhere in it.
    assert low * spec.scale == pytest.approx(-200, abs=spec.scale)
    assert high * spec.scale == pytest.approx(200, abs=spec.scale)
    assert spec.maximum - spec.minimum >= 254
    assert network.input_domain == Domain(-200.0, 200.0, features=True)
    seen = dequantize_input(quantize_input(made.x, network.input_format, features=True), spec)
    np.testing.assert_allclose(seen, made.x, atol=spec.scale * 0.51)
    with pytest.raises(StqError, match=r"\d+ of 12 calibration samples hold values outside --input-range 0 255"):
        convert_model(path, Conversion((0.0, 255.0), PostTraining(made)))
    with pytest.raises(StqError, match="the samples are pixels, and the network was made for features"):
        quantize_input(samples().x, network.input_format)


def test_an_input_of_16_bits_is_finer(tmp_path: Path) -> None:
    path, made = float_draft().save_h5(tmp_path / "m.h5"), features()
    network = convert_model(path, Conversion(None, PostTraining(made, "minmax"), input_bits=16))
    assert (network.input_type.dtype, network.input_type.scale) == ("int16", pytest.approx(200 / 32767))
    assert network.metadata.input.largest_error == pytest.approx(100 / 32767)
    levels = quantize_input(made.x, network.input_format, features=True)
    np.testing.assert_allclose(network.input_format.values(levels), made.x, atol=network.input_type.scale * 0.51)


def test_the_calibration_is_recorded_and_changes_nothing_else(tmp_path: Path) -> None:
    path, made = float_draft().save_h5(tmp_path / "m.h5"), samples()
    network = convert_model(path, Conversion(post_training=PostTraining(made, "minmax")))
    assert network.metadata.post_training == PostTrainingFacts("int8", "minmax", 12, made.sha256())
    again = convert_model(path, Conversion(post_training=PostTraining(made, "minmax")))
    assert again.sha256() == network.sha256()


def test_pixels_of_a_quantized_model_may_be_mapped_too() -> None:
    draft = Draft(shape=(3, 3, 2))
    draft.nodes = [draft.nodes[0]]
    graph = draft.graph(draft.dense(draft.flat(draft.conv(0, 3))))
    mapped = Pipeline(Conversion((0.0, 255.0))).convert_graph(graph)
    spec = mapped.input_type
    assert (spec.minimum, spec.maximum, spec.scale, spec.zero_point) == (-128, 127, 1.0, -128)
    assert mapped.input_domain == Domain(0.0, 255.0)
    quantized = Draft(shape=(3, 3, 2))
    graph = quantized.graph(quantized.dense(quantized.flat(quantized.conv(quantized.x, 3))))
    own = Pipeline(Conversion((0.0, 255.0))).convert_graph(graph)
    assert (own.input_type, own.input_range, own.input_domain) == (lower(graph).input_type, (0.0, 255.0), None)


def test_bad_calibration_samples_are_explained(tmp_path: Path) -> None:
    draft = float_draft()
    path = draft.save_h5(tmp_path / "m.h5")
    other = SampleSet(np.zeros((2, 5, 5, 1), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(StqError, match=r"the calibration samples have shape \(5, 5, 1\), the model takes \(8, 6, 2\)"):
        convert_model(path, Conversion(post_training=PostTraining(other)))
    draft.arrays["conv1"]["kernel"] *= np.float32(1e38)
    draft.arrays["bn1"]["gamma"] *= np.float32(1e38)
    huge = replace(samples(), x=np.full((2, *SHAPE), 1.0, np.float32), y=np.zeros(2, np.int64))
    with pytest.raises(StqError, match="its output overflows on the calibration samples") as error:
        convert_model(draft.save_h5(path), Conversion(post_training=PostTraining(huge)))
    assert "layer 'relu1'" in error.value.where


@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-41, 1e-38, 1e-30])
def test_a_dead_layer_converts(scale: float, tmp_path: Path) -> None:
    """Weights and activations that float32 hardly tells from 0."""
    draft = float_draft()
    draft.arrays["conv2"]["kernel"] = draft.arrays["conv2"]["kernel"] * np.float32(scale)
    for name in ("gamma", "beta", "moving_mean"):
        draft.arrays["bn2"][name] = draft.arrays["bn2"][name] * np.float32(scale)
    path = draft.save_h5(tmp_path / "m.h5")
    for method in ("mse", "minmax"):
        calibration = PostTraining(SampleSet(float_pixels(), np.zeros(len(float_pixels()), np.int64)), method)
        assert convert_model(path, Conversion(post_training=calibration)).ops


def test_a_converted_network_is_not_converted_again(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="the network is converted already"):
        load_any(tmp_path / "net.stq", Conversion((0.0, 255.0)))
