"""Models whose conversion took minutes to an hour, or ended in a refusal, against Keras on raw values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model

pytestmark = pytest.mark.keras

UNITS = 64
ROWS = {
    "10-bit weights read a normalization after a quantized_relu": ("quantized_relu(6,2)", None, 10),
    "a 12-bit relu after a normalization after a relu": ("relu", "quantized_relu(12,2)", 12),
    "12-bit weights read a normalization after a relu": ("relu", None, 12),
}
"""Activation before and behind the batch normalization, and bits of the weights behind them."""


def _model(before: str, behind: str | None, bits: int) -> Any:
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    first, last = (f"quantized_bits({n},0,1,alpha=1)" for n in (8, bits))
    norm = layers.BatchNormalization()
    model = tf_keras.Sequential(
        [
            layers.InputLayer((32,)),
            qkeras.QActivation("quantized_bits(8,0,1,alpha=1)"),
            qkeras.QDense(UNITS, kernel_quantizer=first, bias_quantizer=first),
            qkeras.QActivation(before) if "(" in before else layers.Activation(before),
            norm,
            *([qkeras.QActivation(behind)] if behind else []),
            qkeras.QDense(96, kernel_quantizer=last, bias_quantizer=last),
        ]
    )
    norm.set_weights(
        [
            rng.uniform(0.5, 1.5, UNITS),
            rng.normal(0, 0.3, UNITS),
            rng.normal(0.5, 0.3, UNITS),
            rng.uniform(0.3, 2, UNITS),
        ]
    )
    for layer in model.layers:
        if isinstance(layer, qkeras.QDense):
            layer.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in layer.get_weights()])
    return model


@pytest.mark.parametrize(("before", "behind", "bits"), ROWS.values(), ids=ROWS)
def test_it_converts_and_predicts_as_keras_does(before: str, behind: str | None, bits: int, tmp_path: Path) -> None:
    model = _model(before, behind, bits)
    model.save(tmp_path / "model.h5")
    network = convert_model(tmp_path / "model.h5")
    certified = [c for c in network.metadata.certificates.values() if c.accumulators is not None]
    assert sum(c.accumulators for c in certified) > 2**30  # looked at one by one, they would take minutes
    assert sum(c.checked for c in certified) < 2**21
    levels = np.random.default_rng(2).integers(-127, 128, (200, 32))
    expected = model.predict((levels / 128).astype(np.float32), verbose=0)
    found = run(network, levels) * network.output_type.scale
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
