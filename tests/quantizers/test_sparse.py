"""Gradual magnitude pruning (Zhu & Gupta 2017): the smallest weights are 0, stay 0 when deployed, and can return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError

pytestmark = pytest.mark.keras

TERNARY = "stochastic_ternary(alpha='auto')"


def _model(kernel: str = TERNARY) -> Any:
    import tf_keras
    from tf_keras import layers

    from stq_deploy.zoo.layers import SchemeLayers
    from stq_deploy.zoo.schemes import Scheme

    tf_keras.utils.set_random_seed(1)
    bits = "quantized_bits(4,0,1,alpha='auto_po2')"
    make = SchemeLayers(Scheme("test", "Test", first=bits, conv=kernel, depthwise=kernel, dense=bits))
    inputs = layers.Input((6, 6, 4))
    x = make.conv(inputs, "first", 8, 3, first=True)
    x = make.conv(x, "conv", 8, 3)
    x = make.depthwise(x, "depthwise")
    x = make.separable(x, "separable", 16)
    x = make.dense(layers.Flatten()(x), "dense", 8)
    return tf_keras.Model(inputs, x)


def _kernel(model: Any, layer: str) -> Any:
    found = model.get_layer(layer)
    return getattr(found, "pointwise_kernel" if layer == "separable" else "kernel")


def _zeros(model: Any, layer: str) -> float:
    """Share of zeros as QKeras itself quantizes the layer's kernel."""
    found = model.get_layer(layer)
    quantizer = found.get_quantizers()[1 if layer == "separable" else 0]
    return float(np.mean(quantizer(_kernel(model, layer)).numpy() == 0))


@pytest.mark.parametrize(
    ("target", "shares"),
    [
        (0.8, {"conv": 0.8, "separable": 0.8}),
        ({"conv": 0.9}, {"conv": 0.9}),
        ({"dense": 0.75, "first": 0.5, "separable": 0.95}, {"dense": 0.75, "first": 0.5, "separable": 0.95}),
    ],
)
def test_each_layer_reaches_its_share_of_zeros_and_others_stay(target: Any, shares: dict[str, float]) -> None:
    from stq_deploy.research.quantizers.sparse import SparseKernels

    model, untouched = _model(), _model()
    sparse = SparseKernels(model, target, 20)
    for step in range(1, 31):
        sparse.after(step)
    nonzero = sparse.nonzero_share()
    sparse.remove()
    assert "Sparse" not in model.to_json() and "Masked" not in model.to_json()
    counts = {layer: int(np.prod(_kernel(model, layer).shape)) for layer in shares}
    left = sum((1 - _zeros(model, layer)) * count for layer, count in counts.items())
    assert nonzero == pytest.approx(left / sum(counts.values()))
    for layer in ("first", "conv", "separable", "dense"):
        latent, before = _kernel(model, layer).numpy(), _kernel(untouched, layer).numpy()
        if layer not in shares:
            np.testing.assert_array_equal(latent, before)
            continue
        assert _zeros(model, layer) >= shares[layer]
        hidden = latent == 0
        assert np.sum(hidden) == np.ceil(round(shares[layer] * hidden.size, 6))
        assert np.abs(before[hidden]).max() <= np.abs(before[~hidden]).min()
        np.testing.assert_array_equal(latent[~hidden], before[~hidden])


def test_hidden_weights_have_no_effect_and_no_gradient_while_weights_are_drawn() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.sparse import SparseKernels

    model = _model()
    x = np.random.default_rng(0).random((4, 6, 6, 4), dtype=np.float32)
    sparse = SparseKernels(model, {"conv": 0.6}, 1)
    sparse.after(1)
    hidden = sparse.variables[0].numpy() == 0
    kernel = _kernel(model, "conv")

    def outputs_and_gradient() -> tuple[Any, Any]:
        noise.set_state(noise.NoiseState(seed=2))
        noise.set_temperature_factor(0.1)  # of nearly even draws, so that a hidden weight would often not be 0
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            gradient = tape.gradient(tf.reduce_sum(outputs**2), kernel)
        return outputs.numpy(), gradient.numpy()

    outputs, gradient = outputs_and_gradient()
    assert not gradient[hidden].any() and np.count_nonzero(gradient[~hidden]) > 0.9 * np.sum(~hidden)
    small = np.abs(kernel.numpy()[~hidden]).min()
    kernel.assign(np.where(hidden, -small * np.sign(kernel.numpy()), kernel.numpy()))
    np.testing.assert_array_equal(outputs_and_gradient()[0], outputs)


def test_a_hidden_weight_returns_when_others_get_smaller_until_the_ramp_ends() -> None:
    from stq_deploy.research.quantizers.sparse import SparseKernels

    model = _model()
    sparse = SparseKernels(model, {"conv": 0.5}, 2)
    sparse.after(1)
    first = sparse.variables[0].numpy()
    kernel = _kernel(model, "conv")
    kernel.assign(np.where(first == 0, 1.0, 0.1 * kernel.numpy()))
    sparse.after(2)
    second = sparse.variables[0].numpy()
    assert second[first == 0].all() and np.sum(second == 0) == kernel.numpy().size // 2
    kernel.assign(-kernel.numpy()[::-1])
    sparse.after(3)
    np.testing.assert_array_equal(sparse.variables[0].numpy(), second)


def test_the_share_grows_as_the_authors_have_it() -> None:
    """Equation 1 of the paper, with s_i = 0 and t_0 = 0."""
    from stq_deploy.research.quantizers.sparse import grown

    start, end, steps = 0.0, 0.9, 40
    for step in range(steps + 1):
        assert grown(end, step / steps) == pytest.approx(end + (start - end) * (1 - step / steps) ** 3, abs=1e-12)
    assert grown(end, 1.5) == end


@pytest.mark.parametrize(
    ("kernel", "target", "words"),
    [
        (TERNARY, {"konv": 0.5}, "konv"),
        (TERNARY, {"depthwise": 0.5}, "no quantizer"),
        ("binary(alpha='auto_po2')", {"conv": 0.5}, "the value 0"),
        ("binary(alpha='auto_po2')", 0.5, "no convolution of the network has ternary weights"),
        (None, {"conv": 0.5}, "no quantizer"),
    ],
)
def test_a_layer_that_cannot_be_sparse_is_refused(kernel: Any, target: Any, words: str) -> None:
    from stq_deploy.research.quantizers.sparse import SparseKernels

    with pytest.raises(StqError) as error:
        SparseKernels(_model(kernel), target, 10)
    assert words in str(error.value)
