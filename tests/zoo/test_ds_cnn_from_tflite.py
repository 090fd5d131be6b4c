"""DS-CNN out of a TFLite file: the rebuilt model computes what the one did that the file was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore")]

SHAPE = (49, 10, 1)


@pytest.fixture
def tool() -> Any:
    from tools import ds_cnn_from_tflite

    return ds_cnn_from_tflite


def _tflite(model: Any, path: Path) -> Path:
    import tensorflow as tf

    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


def test_the_rebuilt_model_computes_the_same(tool: Any, tmp_path: Path) -> None:
    from stq_deploy.zoo.networks import build_network

    model, rng = build_network("ds_cnn", scheme="fp", classes=12, input_shape=SHAPE), np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("bn"):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    kernel, bias = model.get_layer("fc").get_weights()
    model.get_layer("fc").set_weights([kernel, rng.normal(size=bias.shape)])
    rebuilt, difference = tool.rebuild(_tflite(model, tmp_path / "m.tflite"))
    x = rng.uniform(-100, 30, (8, *SHAPE)).astype(np.float32)
    expected = model(x).numpy()
    assert difference <= tool.ALLOWED
    np.testing.assert_allclose(rebuilt(x).numpy(), expected, rtol=1e-3)


def test_files_of_other_networks_are_refused(tool: Any, tmp_path: Path) -> None:
    import tf_keras

    image = tf_keras.Input(SHAPE)
    other = tf_keras.layers.Conv2D(4, 3, bias_initializer="ones")(image)
    path = _tflite(tf_keras.Model(image, tf_keras.layers.GlobalAveragePooling2D()(other)), tmp_path / "m.tflite")
    with pytest.raises(StqError, match="not those of a DS-CNN"):
        tool.rebuild(path)
