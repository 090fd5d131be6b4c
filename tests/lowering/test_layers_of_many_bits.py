"""A layer, an activation, batch normalization, an activation, a layer: all kinds and 1 to 16 bits against Keras."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model
from tests.helpers.lowering.qkeras_comparison import compare

pytestmark = pytest.mark.keras

ACTIVATIONS = ("linear", "relu", "quantized_relu({},2)", "quantized_bits({},2,1,alpha=1)")
COMBINATIONS = list(itertools.product(ACTIVATIONS, ACTIVATIONS))
UNITS = 12


def weight_quantizer(bits: int) -> str:
    narrow = {1: "binary(alpha=1)", 2: "ternary(alpha=1)"}
    return narrow.get(bits, f"quantized_bits({bits},0,1,alpha=1)")


def build(before: str, after: str, weight_bits: int, activation_bits: int) -> Any:
    import qkeras
    import tf_keras
    from tf_keras import layers

    def activation(what: str, x: Any) -> Any:
        # A quantized_relu of 16 bits has levels up to 65,535, which the import refuses.
        bits = min(activation_bits, 15) if "relu" in what else activation_bits
        make = qkeras.QActivation if "(" in what else layers.Activation
        return make(what.format(bits))(x)

    seed = 100 * weight_bits + activation_bits
    tf_keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    inputs = layers.Input((16,))
    x = qkeras.QActivation("quantized_bits(8,0,1,alpha=1)")(inputs)
    kernel = weight_quantizer(weight_bits)
    x = activation(before, qkeras.QDense(UNITS, kernel_quantizer=kernel, bias_quantizer=kernel)(x))
    norm = layers.BatchNormalization()
    x = activation(after, norm(x))
    # Sums of 16-bit weights and 15-bit levels exceed 32 bits.
    x = qkeras.QDense(5, kernel_quantizer=weight_quantizer(min(weight_bits, 12)), use_bias=False)(x)
    model = tf_keras.Model(inputs, x)
    for layer in model.layers:
        if isinstance(layer, qkeras.QDense):
            layer.set_weights([rng.uniform(-1, 1, w.shape) for w in layer.get_weights()])
    gamma = rng.uniform(0.5, 1.5, UNITS) * np.where(rng.random(UNITS) < 0.2, -1, 1)
    norm.set_weights([gamma, rng.normal(0.3, 0.3, UNITS), rng.normal(0, 0.1, UNITS), rng.uniform(0.05, 0.5, UNITS)])
    return model


@pytest.mark.parametrize(("before", "after"), COMBINATIONS)
def test_every_kind_of_activation_with_every_width(before: str, after: str, tmp_path: Path) -> None:
    """Each combination with three widths of weights and of activations; all widths from 1 to 16 come up."""
    first = COMBINATIONS.index((before, after))
    for turn in range(3):
        weight_bits, activation_bits = (first + 5 * turn) % 16 + 1, (7 * first + 11 * turn + 3) % 16 + 1
        model = build(before, after, weight_bits, activation_bits)
        model.save(tmp_path / "model.h5")
        network = convert_model(tmp_path / "model.h5")
        levels = np.random.default_rng(turn).integers(-127, 128, (64, 16))
        certificates = network.metadata.certificates.values()
        exact = all(certificate.exact for certificate in certificates)
        for c in compare(model, network, levels) if exact else []:
            # Keras computes in float32: of many levels, more lie within its error of a tie.
            assert c.largest_difference <= 1, (weight_bits, activation_bits, c)
            assert c.differing <= 5e-3 * c.elements, (weight_bits, activation_bits, c)
        expected = model.predict((levels / 128).astype(np.float32), verbose=0)
        found = run(network, levels) * network.output_type.scale
        assert np.abs(found - expected).max() <= 2e-3 * np.abs(expected).max(), (weight_bits, activation_bits)


def test_a_12_bit_layer_after_a_normalization_after_a_relu(tmp_path: Path) -> None:
    """Each channel stops at a level of its own: only the long requantization has such ends."""
    model = build("relu", "quantized_relu({},2)", 12, 12)
    model.save(tmp_path / "model.h5")
    network = convert_model(tmp_path / "model.h5")
    first = network.ops[0].requantize  # type: ignore[attr-defined]
    assert first.kind == "long"
    assert network.metadata.certificates[network.ops[0].name].exact
    assert len(np.unique(first.lowest)) > 1
    levels = np.random.default_rng(0).integers(-127, 128, (500, 16))
    one = next(c for c in compare(model, network, levels) if c.op == network.ops[0].name)
    assert one.largest_difference <= 1
    assert one.differing <= 1e-3 * one.elements


def test_sums_beyond_32_bits_are_refused(tmp_path: Path) -> None:
    model = build("linear", "quantized_bits({},2,1,alpha=1)", 12, 16)
    import qkeras

    (*_, last) = (layer for layer in model.layers if isinstance(layer, qkeras.QDense))
    last.kernel_quantizer_internal.bits = 16
    last.kernel_quantizer = last.kernel_quantizer_internal
    model.save(tmp_path / "model.h5")
    with pytest.raises(StqError, match="exceed 32 bits"):
        convert_model(tmp_path / "model.h5")
