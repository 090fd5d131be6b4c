"""An output that is moved (enlarged, pooled, cropped) after a sum whose channels have unlike scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network.input_format import quantize_input
from stq_deploy.pipeline import convert_model
from stq_deploy.program import plan_network

pytestmark = pytest.mark.keras


def _moves() -> dict[str, Any]:
    from tf_keras import layers

    return {
        "upsampling": layers.UpSampling2D(2),
        "pool": layers.MaxPooling2D(2),
        "crop": layers.Cropping2D(1),
    }


@pytest.mark.parametrize("move", ["upsampling", "pool", "crop"])
def test_every_channel_keeps_its_scale(tmp_path: Path, move: str) -> None:
    import tf_keras
    from qkeras import QConv2D
    from tf_keras import layers

    weights = "quantized_bits(4,0,1,alpha='auto_po2')"  # a scale per channel
    convolution = QConv2D(3, 3, use_bias=False, kernel_quantizer=weights)
    model = tf_keras.Sequential([layers.Input((6, 6, 1)), convolution, _moves()[move]])
    (kernel,) = model.get_weights()
    drawn = np.random.default_rng(3).normal(0, 1, kernel.shape)
    # Channel 0 is much smaller than the others, and its integers are as large as theirs.
    model.set_weights([(drawn * [1 / 64, 1, 1]).astype(np.float32)])
    model.save(tmp_path / "m.h5")
    x = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 1)).astype(np.uint8)
    expected = model.predict(x / np.float32(255), verbose=0)
    network = convert_model(tmp_path / "m.h5")
    levels = NumpyExecutor(plan_network(network)).run(quantize_input(x, network.input_format))[0]
    found = network.output_format.values(levels, network.output_type)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(np.argmax(levels, axis=-1), np.argmax(expected, axis=-1))
