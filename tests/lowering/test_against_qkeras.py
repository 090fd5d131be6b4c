"""The converted network against the QKeras model it came from, op by op on the same activations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.network import Network, load_network, save_network
from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model, load_any
from tests.helpers.lowering.qkeras_comparison import compare

pytestmark = pytest.mark.keras

PO2 = "quantized_bits(4,0,1,alpha='auto_po2')"
TERNARY = "stochastic_ternary(alpha='auto_po2')"
RELU = "quantized_relu(4,2)"


def build(body: Callable[[Any, Any, Any], Any], shape: tuple[int, ...] = (9, 8, 3), seed: int = 0) -> Any:
    """A functional model: quantized input, `body(qkeras, layers, x)`, flatten, dense, softmax; random BN statistics."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(seed)
    inputs = layers.Input(shape, name="image")
    x = body(qkeras, layers, qkeras.QActivation("quantized_relu(8,0)", name="q_in")(inputs))
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    x = qkeras.QDense(5, kernel_quantizer=PO2, use_bias=False, name="logits")(x)
    model = tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if type(layer).__name__.endswith("Batchnorm"):
            for v in layer.weights:
                if "iteration" not in v.name:
                    v.assign(rng.uniform(0.05 if "variance" in v.name else -0.5, 0.5, v.shape))
        elif isinstance(layer, layers.BatchNormalization):
            c = layer.beta.shape[0]
            gamma = [rng.uniform(0.5, 1.5, c) * np.where(rng.random(c) < 0.2, -1, 1)] if layer.scale else []
            layer.set_weights([*gamma, rng.normal(0.3, 0.3, c), rng.normal(0, 0.1, c), rng.uniform(0.05, 0.5, c)])
        elif getattr(layer, "use_bias", False):
            *weights, bias = layer.get_weights()
            layer.set_weights([*weights, rng.uniform(-0.5, 0.5, bias.shape)])
    return model


def conv_bn_relu(q: Any, layers: Any, x: Any) -> Any:
    x = q.QConv2D(6, 3, padding="same", use_bias=False, kernel_quantizer=TERNARY)(x)
    x = q.QActivation(RELU)(layers.BatchNormalization()(x))
    x = q.QConv2D(7, (3, 2), strides=2, padding="same", use_bias=False, kernel_quantizer="ternary(alpha='auto')")(x)
    x = q.QActivation("quantized_bits(6,2,1)")(layers.BatchNormalization(scale=False)(x))
    return layers.MaxPooling2D(2, padding="same")(x)


def power_of_two(q: Any, layers: Any, x: Any) -> Any:
    """No batch norm, scales that are powers of two: ties occur, and QKeras computes exactly."""
    x = q.QConv2D(6, 3, kernel_quantizer=PO2, use_bias=False)(x)
    x = q.QActivation(RELU)(x)
    x = q.QConv2D(5, 2, kernel_quantizer="binary(alpha='auto_po2')", bias_quantizer="quantized_bits(8,0,1)")(x)
    x = q.QActivation("quantized_bits(5,3,0)")(x)
    x = q.QDepthwiseConv2D(3, depthwise_quantizer="ternary(alpha='auto_po2')", depth_multiplier=2, use_bias=False)(x)
    return q.QActivation("quantized_tanh(4)")(x)


def gated(q: Any, layers: Any, x: Any) -> Any:
    x = q.QConv2D(6, 3, padding="same", use_bias=False, kernel_quantizer=TERNARY, activation=RELU)(x)
    gate = q.QDepthwiseConv2D(3, padding="same", use_bias=False, depthwise_quantizer=TERNARY)(x)
    gate = q.QActivation("quantized_sigmoid(4,use_real_sigmoid=True)")(gate)
    x = layers.Add()([x, layers.Multiply()([x, gate])])
    return q.QActivation(RELU)(x)


def separable_residual(q: Any, layers: Any, x: Any) -> Any:
    x = q.QConv2D(6, 3, padding="same", use_bias=False, kernel_quantizer=TERNARY, activation=RELU)(x)
    branch = q.QSeparableConv2D(
        6, 3, padding="same", use_bias=False, depthwise_quantizer=TERNARY, pointwise_quantizer=TERNARY
    )(x)
    branch = q.QActivation(RELU)(layers.BatchNormalization()(branch))
    return q.QActivation(RELU)(layers.Add()([x, branch]))


def plain_residual(q: Any, layers: Any, x: Any) -> Any:
    """x + dw(x) with neither half a table: a generic Add of int8 and int16."""
    x = q.QConv2D(6, 3, padding="same", use_bias=False, kernel_quantizer=TERNARY, activation="quantized_relu(8,3)")(x)
    branch = q.QDepthwiseConv2D(3, padding="same", use_bias=False, depthwise_quantizer=PO2)(x)
    return q.QActivation("quantized_relu(8,3)")(layers.Add()([x, branch]))


def dense_stack(q: Any, layers: Any, x: Any) -> Any:
    x = q.QDense(16, kernel_quantizer=PO2, bias_quantizer="quantized_bits(8,1)")(
        layers.Dropout(0.3)(layers.Flatten()(x))
    )
    x = q.QActivation("quantized_bits(8,3,1,alpha=1)")(x)
    x = q.QActivation("quantized_sigmoid(8,use_real_sigmoid=True)")(x)
    x = q.QDense(12, kernel_quantizer="quantized_bits(8,0,1,alpha='auto')", use_bias=True)(x)
    return q.QActivation("quantized_relu(6,2,negative_slope=0.25)")(layers.BatchNormalization()(x))


def dilated_and_stochastic_binary(q: Any, layers: Any, x: Any) -> Any:
    x = q.QConv2D(
        4, 3, padding="same", dilation_rate=2, use_bias=False, kernel_quantizer="stochastic_binary(alpha='auto_po2')"
    )(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = q.QActivation("quantized_bits(7,2,1)")(x)
    return layers.Reshape((9, 16, 2))(x)


def rows(q: Any, layers: Any, x: Any) -> Any:
    """1-D layers: causal, dilated, strided, padded, cropped, pooled."""
    x = layers.Reshape((36, 6))(x)
    x = q.QConv1D(6, 3, padding="causal", dilation_rate=2, kernel_quantizer=PO2, use_bias=False)(x)
    x = q.QActivation(RELU)(layers.BatchNormalization()(x))
    x = layers.MaxPooling1D(2)(layers.ZeroPadding1D((1, 3))(x))
    x = q.QSeparableConv1D(8, 3, strides=2, depthwise_quantizer=TERNARY, pointwise_quantizer=PO2, activation=RELU)(x)
    x = layers.UpSampling1D(2)(layers.Cropping1D((1, 0))(x))
    x = q.QActivation("quantized_bits(6,1,1)")(layers.AveragePooling1D(3, padding="same")(x))
    return q.QActivation("quantized_bits(8,2)")(q.QDense(4, kernel_quantizer=TERNARY)(x))


def folded(q: Any, layers: Any, x: Any) -> Any:
    """Batch normalization inside the layer, quantized, and of its own after a pool."""
    x = q.QConv2DBatchnorm(8, 3, kernel_quantizer=PO2, bias_quantizer="quantized_bits(8,1,1)", activation=RELU)(x)
    x = q.QDepthwiseConv2DBatchnorm(
        3, padding="same", depthwise_quantizer=PO2, bias_quantizer="quantized_po2(4)", activation=RELU
    )(x)
    x = q.QActivation("quantized_relu(6,2)")(q.QBatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = q.QConv2D(8, 2, groups=4, kernel_quantizer="quantized_po2(4)", bias_quantizer="quantized_po2(4)")(x)
    return q.QActivation("quantized_bits(12,5)")(x)


def pooled(q: Any, layers: Any, x: Any) -> Any:
    """Means, plain and quantized; branches of unlike shape; a squeeze-and-excitation gate."""
    x = q.QConv2D(6, 3, padding="same", kernel_quantizer="binary(alpha=0.25)", activation=RELU)(x)
    a = q.QActivation(RELU)(layers.AveragePooling2D(3, 2, padding="same")(x))
    b = q.QAveragePooling2D(2, average_quantizer="quantized_bits(6,0,1)", activation=RELU)(layers.ZeroPadding2D(1)(x))
    b = layers.Cropping2D(((0, 0), (0, 1)))(b)
    x = layers.Concatenate()([a, layers.Maximum()([a, b])])
    gate = layers.Reshape((1, 1, 12))(q.QGlobalAveragePooling2D(activation="quantized_relu(8,2)")(x))
    gate = q.QConv2D(12, 1, kernel_quantizer=TERNARY, activation="quantized_sigmoid(5)")(gate)
    return q.QActivation("quantized_relu(8,2)")(layers.Multiply()([x, gate]))


def unlike_levels(q: Any, layers: Any, x: Any) -> Any:
    """Quantizers whose levels are unlike: two, powers of two, thousands; lines for sigmoid and tanh."""
    x = q.QConv2D(6, 3, kernel_quantizer="binary(use_01=True,alpha=0.125)", use_bias=False)(x)
    a = q.QActivation("quantized_tanh(10)")(x)
    b = q.QActivation("quantized_relu(5,1,use_sigmoid=1)")(x)
    x = layers.Average()([a, layers.Subtract()([b, a])])
    x = q.QActivation("stochastic_ternary(threshold=0.1)")(layers.LeakyReLU(0.25)(x))
    x = q.QConv2D(6, 2, kernel_quantizer="quantized_bits(10,0,1,alpha=1)", use_bias=False)(x)
    return q.QActivation("quantized_bits(5,1)")(q.QActivation("hard_tanh")(x))


EXACT = (power_of_two, gated, unlike_levels)
REORDERED = (rows, pooled)  # here some levels are moved after they are quantized, so not every op is a layer's output


@pytest.mark.parametrize(
    "body",
    [
        *(conv_bn_relu, power_of_two, gated, separable_residual, plain_residual, dense_stack),
        *(dilated_and_stochastic_binary, rows, folded, pooled, unlike_levels),
    ],
)
def test_every_op_gives_qkeras_levels(body: Callable[[Any, Any, Any], Any], tmp_path: Path) -> None:
    model = build(body)
    model.save(tmp_path / "model.h5")
    network = convert_model(tmp_path / "model.h5")
    levels = np.random.default_rng(1).integers(-128, 128, (40, 9, 8, 3))
    compared = list(compare(model, network, levels))
    compared_ops = {c.op for c in compared}
    assert compared_ops >= {
        op.name for op in network.ops if op.sources and (body not in REORDERED or op.name == "logits")
    }
    for c in compared:
        # In float32 QKeras may fall on the other side of a tie, by one level and rarely. With power-of-two scales and
        # without batch norm it computes exactly.
        assert c.largest_difference <= 1, c
        assert c.differing <= (0 if body in EXACT else 1e-3 * c.elements), c
    predicted = model.predict((levels + 128).astype(np.float32) / 256, verbose=0).argmax(axis=1)
    assert (run(network, levels).argmax(axis=1) == predicted).mean() >= 0.95


def test_both_forms_convert_to_the_same_bytes(tmp_path: Path) -> None:
    model = build(gated)
    files = []
    for form in ("h5", "keras"):
        model.save(tmp_path / f"model.{form}")
        for attempt in range(2):
            network = convert_model(tmp_path / f"model.{form}")
            save_network(network, tmp_path / f"{form}{attempt}.stq")
        first, second = ((tmp_path / f"{form}{attempt}.stq").read_bytes() for attempt in range(2))
        assert first == second
        files.append(network.sha256())
    assert files[0] == files[1]
    loaded = load_any(tmp_path / "h50.stq")
    assert loaded.sha256() == files[0]
    assert loaded.metadata.source.name == "model.h5"


def test_sequential_model(tmp_path: Path) -> None:
    import qkeras as q
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(3)
    model = tf_keras.Sequential(
        [
            layers.InputLayer((8, 8, 1)),
            q.QConv2D(4, 3, kernel_quantizer=q.ternary(), bias_quantizer=q.quantized_bits(8, 0, 1)),
            q.QActivation(q.quantized_relu(4, 2)),
            layers.Flatten(),
            q.QDense(3, kernel_quantizer=q.quantized_bits(4, 0, 1), use_bias=False, activation="softmax"),
        ]
    )
    model.save(tmp_path / "model.keras")
    network = convert_model(tmp_path / "model.keras")
    samples = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1))
    predicted = model.predict(samples.astype(np.float32) / np.float32(255), verbose=0).argmax(axis=1)
    assert (run(network, samples - 128).argmax(axis=1) == predicted).all()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Network, Path]:
    import tf_keras

    from stq_deploy.zoo.networks import build_network

    tf_keras.utils.set_random_seed(0)
    model = build_network(scheme="stq")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one training pass sets the statistics to the batch's
    model(rng.random((32, 32, 32, 1)).astype(np.float32), training=True)
    path = tmp_path_factory.mktemp("zoo") / "model.h5"
    model.save(path)
    return model, convert_model(path), path


def test_zoo_network_op_by_op(zoo: tuple[Any, Network, Path]) -> None:
    model, network, _ = zoo
    levels = np.random.default_rng(5).integers(-128, 128, (4, 32, 32, 1))
    compared = {c.op: c for c in compare(model, network, levels)}
    assert list(compared) == [
        "conv1",
        "dw1",
        "add1",
        "pool1",
        "conv2",
        "dw2",
        "add2",
        "pool2",
        "conv3",
        "sep1_pointwise",
        "add3",
        "pool3",
        "flatten",
        "fc1",
        "fc2",
        "sigmoid_fc2",
        "fc3",
    ]
    for c in compared.values():
        assert c.largest_difference <= 1, c
        assert c.differing <= 1e-4 * c.elements, c


def test_zoo_network_takes_the_forms_it_should(zoo: tuple[Any, Network, Path]) -> None:
    _, network, _ = zoo
    forms = {op.name: network.metadata.certificates[op.name].kind for op in network.ops if hasattr(op, "requantize")}
    assert {forms[name] for name in ("conv1", "conv2", "conv3", "sep1_pointwise")} == {"multiplier"}
    assert {forms[name] for name in ("dw1", "dw2")} == {"table"}
    assert forms["sep1_depthwise"] == "keep"
    assert sum(row.parameters for row in network.metadata.layers) == 998_824
    assert sum(macs for _, macs in network.macs()) == 51_368_256
    saved = load_network_again(network, zoo[2].parent)
    assert saved.sha256() == network.sha256()


def load_network_again(network: Network, folder: Path) -> Network:
    save_network(network, folder / "zoo.stq")
    return load_network(folder / "zoo.stq")
