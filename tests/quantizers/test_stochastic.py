"""The stochastic quantizers draw while training and only then, repeatably, and none of it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def _small_model(kernel: str) -> Any:
    import qkeras
    import tf_keras

    from stq_deploy.research.quantizers.factory import make_quantizer

    tf_keras.utils.set_random_seed(1)
    return tf_keras.Sequential(
        [
            tf_keras.layers.Input((6, 6, 1)),
            qkeras.QConv2D(8, 3, kernel_quantizer=make_quantizer(kernel), use_bias=False, name="conv"),
            tf_keras.layers.Flatten(),
            tf_keras.layers.Dense(3, name="dense"),
        ]
    )


def _samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((16, 6, 6, 1), dtype=np.float32), rng.integers(0, 3, 16)


@pytest.mark.parametrize("name", ["stochastic_ternary", "stochastic_binary"])
def test_fit_draws_anew_each_step_and_predict_never(name: str) -> None:
    import tf_keras

    model = _small_model(f"{name}(alpha='auto_po2')")
    x, y = _samples()
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.SGD(0.0), loss)
    losses = model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0).history["loss"]
    assert len(set(losses)) == 5
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize("alpha", ["auto", "auto_po2"])
@pytest.mark.parametrize("kind", ["ternary", "binary"])
def test_predict_equals_the_deterministic_quantizer(kind: str, alpha: str) -> None:
    stochastic = _small_model(f"stochastic_{kind}(alpha='{alpha}')")
    deterministic = _small_model(f"{kind}(alpha='{alpha}')")
    deterministic.set_weights(stochastic.get_weights())
    x, _ = _samples()
    np.testing.assert_array_equal(stochastic.predict(x, verbose=0), deterministic.predict(x, verbose=0))


def _draw(quantizer: Any, w: Any) -> np.ndarray:
    return np.asarray(quantizer._draw(w))


def test_draws_are_ternary_with_qkeras_probabilities() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.stochastic import stochastic_ternary

    noise.set_state(noise.NoiseState(seed=3))
    quantizer = stochastic_ternary(alpha="auto")
    w = np.random.default_rng(0).normal(0, 0.1, (64, 2)).astype(np.float32)
    draws = np.stack([_draw(quantizer, tf.constant(w)) for _ in range(600)])
    scale = quantizer.scale.numpy()
    levels = draws / scale
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-5)
    # The definition: two independent signs of probability p0 and p1, averaged.
    spread = w.std(axis=0, keepdims=True)
    p0 = 1 / (1 + np.exp(-8 * (w - scale / 2) / spread))
    p1 = 1 / (1 + np.exp(-8 * (w + scale / 2) / spread))
    expected = (2 * p0 - 1 + 2 * p1 - 1) / 2
    assert np.abs(levels.mean(axis=0) - expected).max() < 5 * np.sqrt(0.5 / 600)
    assert np.abs(levels.mean() - expected.mean()) < 0.01


def test_scale_equals_qkeras_ternary() -> None:
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.research.quantizers.stochastic import stochastic_ternary

    w = tf.constant(np.random.default_rng(2).normal(0, 0.1, (3, 3, 4, 8)).astype(np.float32))
    for alpha in ("auto", "auto_po2"):
        ours, theirs = stochastic_ternary(alpha=alpha), qk.ternary(alpha=alpha)
        ours._draw(w)
        theirs(w)
        np.testing.assert_allclose(ours.scale.numpy(), theirs.scale.numpy(), rtol=1e-5)


def test_state_repeats_the_draws_and_a_high_temperature_settles_them() -> None:
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.stochastic import stochastic_ternary

    quantizer = stochastic_ternary(alpha="auto_po2")
    w = tf.constant(np.random.default_rng(1).normal(0, 0.1, (32, 8)).astype(np.float32))
    noise.set_state(noise.NoiseState(seed=5, counter=7))
    first, second = _draw(quantizer, w), _draw(quantizer, w)
    assert noise.get_state().counter == 9
    assert not np.array_equal(first, second)
    noise.set_state(noise.NoiseState(seed=5, counter=8))
    np.testing.assert_array_equal(_draw(quantizer, w), second)
    noise.set_state(noise.NoiseState(seed=6, counter=8))
    assert not np.array_equal(_draw(quantizer, w), second)
    noise.set_state(noise.NoiseState(temperature_factor=1e6))
    np.testing.assert_allclose(_draw(quantizer, w), np.asarray(qk.ternary(alpha="auto_po2")(w)), atol=1e-6)
    noise.set_state(noise.NoiseState())
    with pytest.raises(ValueError, match="positive"):
        noise.set_temperature_factor(0.0)
    with pytest.raises(ValueError, match="alpha"):
        stochastic_ternary(alpha=1.0)._draw(w)


def test_deterministic_block_and_no_variables_in_the_model() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise

    model = _small_model("stochastic_ternary(alpha='auto_po2')")
    x, _ = _samples()
    with noise.deterministic():
        settled = model(tf.constant(x), training=True).numpy()
    np.testing.assert_array_equal(settled, model(tf.constant(x), training=False).numpy())
    assert not np.array_equal(settled, model(tf.constant(x), training=True).numpy())
    assert len(model.weights) == 3


def test_file_loads_with_qkeras_alone_and_with_ours(tmp_path: Path) -> None:
    import qkeras.quantizers as qk
    from qkeras.utils import load_qmodel

    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.quantizers.stochastic import stochastic_ternary

    model = _small_model("stochastic_ternary(alpha='auto_po2')")
    path = str(tmp_path / "model.h5")
    model.save(path)
    assert b"stq_deploy" not in Path(path).read_bytes()
    x, _ = _samples()
    plain, ours = load_qmodel(path, compile=False), read_keras_model(path)
    assert type(plain.get_layer("conv").kernel_quantizer_internal) is qk.stochastic_ternary
    assert type(ours.get_layer("conv").kernel_quantizer_internal) is stochastic_ternary
    for loaded in (plain, ours):
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
