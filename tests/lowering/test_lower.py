"""What each combination of layers becomes, checked against a plain evaluation of the source in rationals or floats."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.lowering import UnknownInputError, lower
from stq_deploy.lowering.decide import CERTIFYING
from stq_deploy.network import Network, load_network, save_network
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.reference import run, run_layers
from stq_deploy.pipeline import Conversion
from stq_deploy.pipeline.pipeline import Pipeline
from tests.helpers.lowering.integer_models import source_graph
from tests.helpers.lowering.source_draft import Draft
from tests.helpers.model_files import BITS4, TERNARY, ModelDraft, random, tiny_model

WINDOW = {"strides": [1, 1], "padding": "same", "data_format": "channels_last", "dilation_rate": [1, 1]}
RELU = "quantized_relu(4,2)"


def image(shape: tuple[int, ...] = (4, 3, 2), quantizer: str = RELU) -> ModelDraft:
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, *shape])
    return draft.add("QActivation", "q", "x", activation=quantizer)


def conv(draft: ModelDraft, name: str, source: str, channels: int, filters: int, **changes: Any) -> ModelDraft:
    settings = {
        "filters": filters,
        "kernel_size": [1, 1],
        **WINDOW,
        "use_bias": False,
        "activation": "linear",
        "kernel_quantizer": TERNARY,
        "bias_quantizer": None,
        **changes,
    }
    arrays = {"kernel": random(1, 1, channels, filters)}
    if settings["use_bias"]:
        arrays["bias"] = random(filters)
    return draft.add("QConv2D", name, source, arrays=arrays, **settings)


def end(draft: ModelDraft, source: str, inputs: int) -> ModelDraft:
    draft.add("Flatten", "flatten", source)
    draft.add(
        "QDense",
        "fc",
        "flatten",
        arrays={"kernel": random(inputs, 3)},
        units=3,
        use_bias=False,
        activation="linear",
        kernel_quantizer=BITS4,
        bias_quantizer=None,
    )
    return draft


def kinds(network: Network) -> dict[str, str]:
    return {op.name: op.kind for op in network.ops}


def levels_of(network: Network, seed: int = 0, samples: int = 5) -> dict[str, np.ndarray]:
    """Tensor name -> real values of every tensor, for random inputs."""
    spec = network.input_type
    x = np.random.default_rng(seed).integers(spec.minimum, spec.maximum + 1, (samples, *spec.shape))
    found = {network.input: (x - spec.zero_point) * spec.scale}
    for op, result in run_layers(network, x):
        t = network.tensors[op.output]
        found[op.name] = (result.astype(np.int64) - t.zero_point) * t.scale
    return found


def test_straight_network(tmp_path: Path) -> None:
    network = lower(source_graph(tiny_model(), tmp_path))
    assert kinds(network) == {"conv": "convolve", "pool": "max_pool", "flatten": "reshape", "fc": "dense"}
    assert [op.sources for op in network.ops] == [("conv", "bn", "relu"), ("pool",), ("flatten",), ("fc",)]
    t = network.input_type
    assert (t.minimum, t.maximum, t.zero_point, t.scale) == (-128, 127, -128, 1 / 256)
    assert network.output_type.dtype == "int32"
    facts = network.metadata
    outputs = {"conv": "relu", "pool": "pool", "flatten": "flatten", "fc": "fc"}
    assert facts.keras_outputs == {"image": "quantize"} | outputs
    assert [d.layer for d in facts.dropped] == ["softmax"]
    assert facts.classes == 3
    assert facts.source.name == "draft.h5"
    assert facts.certificates["conv"].kind == "multiplier"
    assert facts.certificates["fc"].largest_error < 1e-6


def test_values_of_the_straight_network(tmp_path: Path) -> None:
    draft = tiny_model()
    source = source_graph(draft, tmp_path)
    network = lower(source)
    values = levels_of(network)
    bn = draft.arrays["bn"]
    kernel = source.kernels[2].integers * 0.25
    x = np.pad(values["image"], ((0, 0), (1, 1), (1, 1), (0, 0)))
    acc = np.zeros((5, 6, 5, 4))
    for i in range(3):
        for j in range(3):
            acc += np.einsum("nhwc,cf->nhwf", x[:, i : i + 6, j : j + 5], kernel[i, j])
    epsilon = np.float64(np.float32(1e-3))
    normal = bn["gamma"] * (acc - bn["moving_mean"]) / np.sqrt(bn["moving_variance"] + epsilon) + bn["beta"]
    assert np.array_equal(values["conv"], np.clip(np.rint(normal * 4), 0, 15) / 4)
    pooled = values["conv"][:, :, :4].reshape(5, 3, 2, 2, 2, 4).max(axis=(2, 4))
    assert np.array_equal(values["pool"], pooled)
    at = next(n for n, node in enumerate(source.nodes) if node.layer == "fc")
    logits = pooled.reshape(5, -1) @ (source.kernels[at].integers * 0.25) + draft.arrays["fc"]["bias"]
    assert np.allclose(values["fc"], logits, atol=network.metadata.certificates["fc"].largest_error * 1.001)


def test_conversion_is_deterministic(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        network = lower(source_graph(tiny_model(), tmp_path))
        save_network(network, tmp_path / f"{i}.stq")
        files.append((tmp_path / f"{i}.stq").read_bytes())
    assert files[0] == files[1]
    assert load_network(tmp_path / "0.stq").metadata.certificates == network.metadata.certificates


def test_gated_residual_is_one_table(tmp_path: Path) -> None:
    draft = conv(image(), "gate", "q", 2, 2)
    draft.add("QActivation", "sigmoid", "gate", activation="quantized_sigmoid(4,use_real_sigmoid=True)")
    draft.add("Multiply", "mul", "q", "sigmoid").add("Add", "add", "q", "mul").add(
        "QActivation", "act", "add", activation=RELU
    )
    network = lower(source_graph(end(draft, "act", 24), tmp_path))
    assert kinds(network) == {"gate": "convolve", "add": "pair_table", "flatten": "reshape", "fc": "dense"}
    assert next(op for op in network.ops if op.name == "add").sources == ("mul", "add", "act")
    values = levels_of(network)
    expected = np.clip(np.rint(values["x"] * (1 + values["gate"]) * 4), 0, 15) / 4
    assert np.array_equal(values["add"], expected)


def test_activation_of_levels_is_a_table(tmp_path: Path) -> None:
    draft = image(quantizer="quantized_bits(8,3,1,alpha=1)")
    draft.add("QActivation", "sigmoid", "q", activation="quantized_sigmoid(8,use_real_sigmoid=True)")
    network = lower(source_graph(end(draft, "sigmoid", 24), tmp_path))
    assert kinds(network)["sigmoid"] == "table"
    values = levels_of(network)
    assert np.array_equal(values["sigmoid"], np.clip(np.rint(256 / (1 + np.exp(-values["x"]))), 0, 255) / 256)


def test_product_that_fits_16_bits(tmp_path: Path) -> None:
    draft = image(quantizer="quantized_relu(7,0)")
    conv(draft, "c", "q", 2, 2).add("QActivation", "g", "c", activation="quantized_sigmoid(8,use_real_sigmoid=True)")
    draft.add("Multiply", "mul", "q", "g").add("Add", "add", "q", "mul")
    draft.add("QActivation", "act", "add", activation="quantized_relu(8,1)")
    network = lower(source_graph(end(draft, "act", 24), tmp_path))
    assert [kinds(network)[name] for name in ("c", "mul", "add")] == ["convolve", "multiply", "add"]
    assert network.tensors["mul"].dtype == "int16"
    assert network.metadata.keras_outputs["mul"] == "mul"
    ops = {op.name: op for op in network.ops}
    assert (ops["mul"].sources, ops["add"].sources) == (("mul",), ("add", "act"))
    values = levels_of(network)
    assert np.array_equal(values["mul"], values["x"] * values["c"])
    assert np.array_equal(values["add"], np.clip(np.rint(values["x"] * (1 + values["c"]) * 128), 0, 255) / 128)


def test_residual_of_a_plain_accumulator(tmp_path: Path) -> None:
    """x + conv(x): the convolution's exact sums go to a tensor, made once although two layers read it."""
    draft = conv(image(), "c", "q", 2, 2)
    draft.add("Add", "add", "q", "c").add("QActivation", "act", "add", activation=RELU)
    draft.add("Add", "twice", "act", "c").add("QActivation", "act2", "twice", activation=RELU)
    network = lower(source_graph(end(draft, "act2", 24), tmp_path))
    assert kinds(network)["c"] == "convolve"
    assert sum(op.kind == "convolve" for op in network.ops) == 1
    assert network.tensors["c"].dtype == "int8"
    assert network.metadata.keras_outputs["c"] == "c"
    values = levels_of(network)
    add = next(op.name for op in network.ops if "act" in op.sources)
    assert np.array_equal(values[add], np.clip(np.rint((values["x"] + values["c"]) * 4), 0, 15) / 4)


def test_sum_of_three(tmp_path: Path) -> None:
    draft = conv(image(), "a", "q", 2, 2, activation=RELU)
    conv(draft, "b", "q", 2, 2, activation="quantized_bits(6,1,1)")
    draft.add("Add", "add", "q", "a", "b").add("QActivation", "act", "add", activation=RELU)
    network = lower(source_graph(end(draft, "act", 24), tmp_path))
    values = levels_of(network)
    name = next(op.name for op in network.ops if "act" in op.sources)
    expected = np.clip(np.rint((values["x"] + values["a"] + values["b"]) * 4), 0, 15) / 4
    assert np.array_equal(values[name], expected)


def separable(draft: ModelDraft, source: str, size: int, channels: int, filters: int) -> None:
    """Add a layer "sep" of ternary weights."""
    depthwise, pointwise = random(size, size, channels, 1), random(1, 1, channels, filters)
    draft.add(
        "QSeparableConv2D", "sep", source, filters=filters, kernel_size=[size, size], **WINDOW, depth_multiplier=1,
        use_bias=False, activation=RELU, depthwise_quantizer=TERNARY, pointwise_quantizer=TERNARY, bias_quantizer=None,
        arrays={"depthwise_kernel": depthwise, "pointwise_kernel": pointwise},
    )  # fmt: skip


def test_separable_convolution_is_two_ops(tmp_path: Path) -> None:
    draft = image((5, 4, 3))
    separable(draft, "q", 3, 3, 4)
    network = lower(source_graph(end(draft, "sep", 80), tmp_path))
    ops = {op.name: op for op in network.ops}
    assert ops["sep_depthwise"].kind == "depthwise_convolve"
    assert ops["sep_depthwise"].sources == ()
    assert ops["sep_depthwise"].requantize.kind == "keep"  # type: ignore[attr-defined]
    assert ops["sep_pointwise"].sources == ("sep",)
    assert network.metadata.keras_outputs.get("sep_pointwise") == "sep"
    assert "sep_depthwise" not in network.metadata.keras_outputs


def test_bias_and_scale_per_channel(tmp_path: Path) -> None:
    draft = conv(image(), "c", "q", 2, 3, use_bias=True, activation="quantized_bits(8,3,1)")
    source = source_graph(end(draft, "c", 36), tmp_path, scales={"c": [0.25, 0.3, -0.0 + 0.7]})
    network = lower(source)
    values = levels_of(network)
    kernel = source.kernels[2].integers[0, 0] * np.array([0.25, 0.3, 0.7])
    exact = values["x"] @ kernel + draft.arrays["c"]["bias"]
    assert np.array_equal(values["c"], np.clip(np.rint(exact * 16), -127, 127) / 16)


def test_an_input_without_quantizer_is_refused_and_three_ways_are_named(tmp_path: Path) -> None:
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 4, 3, 2])
    conv(draft, "c", "x", 2, 2, activation=RELU)
    with pytest.raises(
        UnknownInputError, match="the range of the input's values is not known: layer 'c' reads"
    ) as error:
        lower(source_graph(end(draft, "c", 24), tmp_path))
    assert error.value.where == "input 'x'"
    for way in ("--calibrate", "--input-range", "QActivation"):
        assert way in error.value.next


def test_second_reader_of_the_input_keeps_its_quantizer_an_op(tmp_path: Path) -> None:
    draft = image()
    conv(draft, "c", "x", 2, 2, activation=RELU)
    draft.add("Add", "add", "q", "c").add("QActivation", "act", "add", activation=RELU)
    graph = source_graph(end(draft, "act", 24), tmp_path)
    with pytest.raises(UnknownInputError, match="layer 'c' reads it as it is"):
        lower(graph)
    network = Pipeline(Conversion((0.0, 1.0))).convert_graph(graph)
    assert network.input_type.scale == float(Fraction(1, 255))
    assert kinds(network)["q"] == "table"


def test_layers_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    draft = conv(image(), "unused", "q", 2, 2)
    network = lower(source_graph(end(draft, "q", 24), tmp_path))
    assert "unused" not in kinds(network)


def test_float_relu_before_the_quantizer(tmp_path: Path) -> None:
    draft = conv(image(), "c", "q", 2, 2).add("Activation", "relu", "c", activation="relu")
    draft.add("QActivation", "round", "relu", activation="quantized_bits(6,2,1)")
    network = lower(source_graph(end(draft, "round", 24), tmp_path))
    assert next(op for op in network.ops if op.name == "c").sources == ("c", "relu", "round")
    assert levels_of(network)["c"].min() == 0


def test_names_are_made_unique(tmp_path: Path) -> None:
    draft = image()
    conv(draft, "sep_depthwise", "q", 2, 2, activation=RELU)
    separable(draft, "sep_depthwise", 1, 2, 2)
    network = lower(source_graph(end(draft, "sep", 24), tmp_path))
    assert {"sep_depthwise", "sep_depthwise_2", "sep_pointwise"} <= set(kinds(network))


def test_logits_of_one_scale_are_the_accumulators(tmp_path: Path) -> None:
    network = lower(source_graph(end(image(), "q", 24), tmp_path))
    assert network.metadata.certificates["fc"] == Certificate("keep", True, channels=3)
    assert network.output_type.scale == 0.25 * 0.25
    x = np.full((1, *network.input_type.shape), 15)
    assert run(network, x).dtype == np.int32


def test_quantized_output_stays_levels(tmp_path: Path) -> None:
    draft = end(image(), "q", 24).add("QActivation", "out", "fc", activation="quantized_bits(8,3,1)")
    network = lower(source_graph(draft, tmp_path))
    assert network.output_type.dtype == "int8"


def test_progress_tells_of_every_layer() -> None:
    draft = Draft()
    x = draft.quantize(draft.norm(draft.conv(draft.x, 3)), RELU)
    heard: list[tuple[str, int, int]] = []
    lower(draft.graph(draft.dense(draft.flat(x))), lambda *step: heard.append(step))
    layers = len({node.layer for node in draft.nodes})
    assert heard[0] == (CERTIFYING, 0, layers)
    assert heard[-1] == (CERTIFYING, layers, layers)
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    assert {total for _, _, total in heard} == {layers}
