"""Networks whose pixels have 2 to 4 bits (Panda et al. 2019) are attacked through their input quantizer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.research.attacks.craft import Target, craft
from stq_deploy.research.attacks.registry import get_attack

pytestmark = pytest.mark.keras

SHAPE = (6, 6, 1)
BITS = [2, 3, 4]
ATTACKS = {"fgsm": {}, "pgd": {"max_iter": "10"}, "apgd": {"max_iter": "20"}}


def _model(bits: int, weights: np.ndarray) -> Any:
    import qkeras
    import tf_keras

    x = inputs = tf_keras.Input(SHAPE)
    x = qkeras.QActivation(f"quantized_relu({bits},0)", name="quantize_input")(x)
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(2, kernel_quantizer="quantized_bits(2,1,1,alpha=1)", use_bias=False, name="fc")(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("softmax", name="softmax")(x))
    model.get_layer("fc").set_weights([np.stack([weights, -weights], axis=1)])
    return model


@pytest.fixture(name="weights", scope="module")
def _weights() -> np.ndarray:
    """As many of 1 as of -1."""
    return np.random.default_rng(4).permutation(np.repeat([-1.0, 1.0], 18)).astype(np.float32)


def _first_pixel(bits: int, level: int) -> int:
    """The smallest pixel of this input level: QKeras rounds p / 255 * 2^bits half to even."""
    pixels = np.arange(256)
    return int(np.flatnonzero(np.rint(pixels / np.float32(255) * 2**bits) == level)[0])


def _edge_picture(bits: int, weights: np.ndarray) -> np.ndarray:
    """A picture of class 0 with a margin of few levels. A change of 3 gray levels moves any pixel to the next level.

    Pixels of weight 1 have level 2 and lie 2 above its first pixel. Those of weight -1 have level 1 and lie 3 below it.
    """
    edge = _first_pixel(bits, 2)
    return np.where(weights > 0, edge + 2, edge - 3).reshape(SHAPE).astype(np.uint8)


def _target(bits: int, weights: np.ndarray, folder: Path) -> Target:
    from stq_deploy.evaluation.scores import classes_of
    from stq_deploy.network.reference import run
    from stq_deploy.pipeline import convert_model

    model = _model(bits, weights)
    model.save(folder / "m.h5")
    network = convert_model(folder / "m.h5")
    assert network.input_type.maximum - network.input_type.minimum == 2**bits - 1
    return Target(
        model,
        "coarse",
        "f" * 64,
        network.input_format,
        network.sha256(),
        lambda levels: classes_of(run(network, levels)),
    )


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_goes_through_the_quantizer_and_is_judged_behind_it(
    bits: int, name: str, weights: np.ndarray, tmp_path: Path
) -> None:
    """3 gray levels cross every edge and exchange levels 1 and 2, so that the class is lost. 2 cross no edge."""
    target = _target(bits, weights, tmp_path)
    samples = SampleSet(_edge_picture(bits, weights)[None], np.zeros(1, np.int64))
    for eps, broken in ((3, True), (2, False)):
        attack = get_attack(name).from_text({"eps": f"{eps}/255", **ATTACKS[name]})
        made = craft(target, samples, attack)
        correct = made.correct
        assert correct["clean"] == 1
        assert correct["attacked"] == correct["after_input_quantisation"] == correct["integer"] == int(not broken)
        assert made.x.dtype == np.uint8
        assert np.abs(made.x.astype(int) - samples.x.astype(int)).max() <= eps


@pytest.mark.parametrize("bits", BITS)
def test_the_gradient_is_the_identity_at_every_pixel(bits: int, weights: np.ndarray) -> None:
    """QKeras's own is 0 where its quantizer clips."""
    from stq_deploy.research.attacks.victim import Victim

    x = np.linspace(0, 1, 36, dtype=np.float32).reshape(1, *SHAPE)
    _, _, gradient = Victim(_model(bits, weights)).gradient(x, np.zeros(1, np.int64), "margin")
    np.testing.assert_allclose(gradient.reshape(-1), -2 * weights, rtol=1e-6)
