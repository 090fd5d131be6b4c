"""Attacks on a small trained network: within budget, effective, reproducible, and honestly recorded."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import AttackRecord, SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.network import TensorType
from stq_deploy.network.input_format import InputFormat
from stq_deploy.research.attacks.craft import Target, craft
from stq_deploy.research.attacks.defence import RandomNoise
from stq_deploy.research.attacks.registry import get_attack

pytestmark = pytest.mark.keras

SHAPE = (12, 12, 1)
COARSE_INPUT = InputFormat(TensorType(SHAPE, "int8", 0, 15, 1 / 16))
"""16 input levels: small perturbations do not survive them."""
FAST = {"fgsm": {}, "pgd": {"max_iter": "8"}, "square": {"max_iter": "300"}}


@pytest.fixture(name="clean", scope="module")
def _clean() -> SampleSet:
    """Noise with a bright upper or lower half: classes 0 and 1."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 40)
    x = random.integers(90, 140, (40, *SHAPE))
    for picture, label in zip(x, y, strict=True):
        picture[6 * label : 6 * label + 6] += 14
    metadata = SampleMetadata("halves", source_indices=tuple(range(40)))
    return SampleSet(x.astype(np.uint8), y.astype(np.int64), metadata)


@pytest.fixture(name="target", scope="module")
def _target(clean: SampleSet) -> Target:
    import qkeras
    import tensorflow as tf
    import tf_keras

    tf.keras.utils.set_random_seed(3)
    inputs = tf_keras.Input(SHAPE)
    x = qkeras.QActivation("quantized_relu(8,0)")(inputs)
    x = tf_keras.layers.Flatten()(x)
    x = qkeras.QDense(2, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", bias_quantizer="quantized_bits(8,3)")(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("softmax")(x))
    # The weights are set, not trained: upper half against lower half.
    half = np.repeat([1.0, -1.0], 72)[:, None] * [[0.5, -0.5]]
    model.layers[-2].set_weights([half.astype(np.float32), np.zeros(2, np.float32)])
    seen = InputFormat(TensorType(SHAPE, "int8", -128, 127, 1 / 256, -128))
    return Target(model, "halves", "f" * 64, seen, "aa")


def _largest_change(made: SampleSet, clean: SampleSet, norm: float) -> float:
    change = (made.x.astype(np.float64) if made.x.dtype != np.uint8 else made.x / 255) - clean.x / 255
    return float(np.linalg.norm(change.reshape(len(change), -1), norm, axis=1).max())


def test_the_clean_samples_are_classified_rightly(target: Target, clean: SampleSet) -> None:
    made = craft(target, clean, None)
    assert made.attack == "clean"
    np.testing.assert_array_equal(made.x, clean.x)
    assert made.metadata.float_model.predictions == tuple(clean.y)
    assert made.correct["after_input_quantisation"] == 40


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("norm", ["inf", "2"])
def test_within_budget_and_effective(target: Target, clean: SampleSet, name: str, norm: str) -> None:
    eps = {"inf": 10 / 255, "2": 1.5}[norm]
    attack = get_attack(name).from_text({"eps": str(eps), "norm": norm, **FAST[name]})
    made = craft(target, clean, attack, storage="float32")
    assert made.x.min() >= 0 and made.x.max() <= 1
    assert _largest_change(made, clean, float(norm)) <= eps + 1e-5
    assert made.largest_change[norm] == pytest.approx(_largest_change(made, clean, float(norm)), abs=1e-5)
    correct = made.correct
    assert correct["clean"] == 40
    assert correct["attacked"] < (30 if name == "square" else 10)


def _boundary(**settings: str) -> Any:
    return get_attack("boundary").from_text({"eps": "1", "max_iter": "40", **settings})


def test_boundary_walks_closer_and_stays_on_the_other_side(target: Target, clean: SampleSet) -> None:
    few = clean.first(6)
    near, far = (craft(target, few, _boundary(max_iter=steps), storage="float32") for steps in ("40", "3"))
    for made in (near, far):
        assert made.correct["attacked"] == 0
        assert "decisions" in made.metadata.attack.threat_model
    assert _largest_change(near, few, 2) < 0.5 * _largest_change(far, few, 2)
    np.testing.assert_array_equal(craft(target, few, _boundary(), storage="float32").x, near.x)
    assert (craft(target, few, _boundary(), seed=1, storage="float32").x != near.x).any()


def test_boundary_leaves_what_it_does_not_bring_within_the_budget(target: Target, clean: SampleSet) -> None:
    few = clean.first(6)
    free = craft(target, few, _boundary(norm="2", eps="100"), storage="float32")
    changes = np.linalg.norm((free.x - few.x / np.float32(255)).reshape(6, -1), axis=1)
    eps = float(np.median(changes))
    held = craft(target, few, _boundary(norm="2", eps=f"{eps:.6f}"), storage="float32")
    np.testing.assert_array_equal(held.x[changes > eps + 1e-5], (few.x / np.float32(255))[changes > eps + 1e-5])
    np.testing.assert_array_equal(held.x[changes < eps - 1e-5], free.x[changes < eps - 1e-5])
    assert held.correct["attacked"] == 3


def test_boundary_leaves_what_is_wrong_already_and_what_has_no_other_class(target: Target, clean: SampleSet) -> None:
    few = clean.first(4)
    wrong = SampleSet(few.x, 1 - few.y, few.metadata)
    np.testing.assert_array_equal(craft(target, wrong, _boundary()).x, few.x)
    # One random picture to begin with: for some samples it is of their own class.
    made = craft(target, clean.first(12), _boundary(init_size="1", max_iter="3"), storage="float32")
    kept = (made.x == clean.x[:12] / np.float32(255)).all(axis=(1, 2, 3))
    assert 0 < kept.sum() == made.correct["attacked"] < 12


def test_pixels_stay_on_the_uint8_grid_within_the_budget(target: Target, clean: SampleSet) -> None:
    made = craft(target, clean, get_attack("pgd").from_text({"max_iter": "3"}))
    assert made.x.dtype == np.uint8
    assert np.abs(made.x.astype(int) - clean.x.astype(int)).max() == 8


def test_everything_is_recorded(target: Target, clean: SampleSet) -> None:
    attack = get_attack("pgd").from_text({"max_iter": "3"})
    metadata = craft(target, clean, attack, seed=5).metadata
    assert metadata.attack.settings == attack.settings
    assert "straight through" in metadata.attack.threat_model
    assert (metadata.seed, metadata.dataset, metadata.source_indices) == (5, "halves", tuple(range(40)))
    assert metadata.float_model.model_hash == "aa"
    assert {"numpy", "qkeras", "adversarial-robustness-toolbox", "stq-deploy"} <= set(metadata.versions)


def test_same_seed_same_samples_whatever_follows(target: Target, clean: SampleSet) -> None:
    attack = get_attack("square").from_text({"max_iter": "10", "eps": "4/255"})
    whole = craft(target, clean, attack, seed=1, batch=16)
    part = craft(target, clean.first(16), attack, seed=1, batch=16)
    np.testing.assert_array_equal(whole.x[:16], part.x)
    assert (craft(target, clean, attack, seed=2, batch=16).x != whole.x).any()


def test_what_input_quantisation_takes_away_is_seen(target: Target, clean: SampleSet) -> None:
    """An attack of one pixel level vanishes in a network with 16 input levels; the record must say so."""
    coarse = dataclasses.replace(target, input_format=COARSE_INPUT)
    attack = get_attack("fgsm").from_text({"eps": "8/255"})
    correct = craft(coarse, clean, attack).correct
    assert correct["attacked"] < correct["after_input_quantisation"]


@pytest.mark.parametrize(("unit", "eps", "levels"), [("value", 0.5, 12), ("range", 0.1, 15), ("std", 1.0, None)])
def test_features_are_attacked_on_the_levels_of_the_input(
    target: Target, clean: SampleSet, unit: str, eps: float, levels: int | None
) -> None:
    """Levels are 1/24 here: half a unit is 12 of them, a tenth of the stated range 0..6.3 is 15.12."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(2, use_bias=False)])
    half = np.repeat([1.0, -1.0], 72)[:, None] * [[0.5, -0.5]]
    model.set_weights([half.astype(np.float32)])
    features = SampleSet(clean.x / np.float32(50), clean.y, SampleMetadata(range=(0, 6.3)))
    seen = InputFormat(TensorType(SHAPE, "int8", -128, 127, 1 / 24, -128))
    attack = get_attack("pgd").from_text({"eps": str(eps), "max_iter": "5"})
    made = craft(dataclasses.replace(target, model=model, input_format=seen), features, attack, unit=unit)
    assert made.x.dtype == np.float32
    steps = made.x.astype(np.float64) * 24
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    change = np.abs(np.rint(steps) - np.rint(features.x.astype(np.float64) * 24))
    if levels is None:
        assert (change <= np.rint(features.x * 24).std(axis=0) + 1e-6).all() and change.max() > 0
    else:
        assert change.max() == levels
    assert made.metadata.attack.unit == unit
    correct = made.correct
    assert correct["attacked"] == correct["after_input_quantisation"] < correct["clean"]


def test_a_constant_feature_has_no_deviation_to_move_by(target: Target, clean: SampleSet) -> None:
    """Silence in a recording: a feature that is the same in all samples stays what it is, and the others move."""
    x = clean.x / np.float32(255)
    x[:, 0], x[:, 7] = 0.25, 0.0
    features = SampleSet(x, clean.y, SampleMetadata(range=(0, 1)))
    for storage, made_of in (("float32", dataclasses.replace(target, model_hash=None)), ("levels", target)):
        for name, settings in (("pgd", {"max_iter": "4"}), ("square", {"max_iter": "30"}), ("fgsm", {"norm": "2"})):
            attack = get_attack(name).from_text({"eps": "1", **settings})
            start = craft(made_of, features, None).x if made_of.model_hash is None else np.rint(x * 256) / 256
            moved = craft(made_of, features, attack, unit="std").x != start.astype(np.float32)
            assert not moved[:, [0, 7]].any() and moved.any(), (storage, name)


@pytest.mark.parametrize("unit", ["range", "std"])
def test_pixels_have_no_other_unit_than_their_own(target: Target, clean: SampleSet, unit: str) -> None:
    with pytest.raises(StqError, match="is for features"):
        craft(target, clean, get_attack("fgsm").from_text({"eps": "8/255"}), unit=unit)


def test_clean_features_stay_as_they_are(target: Target, clean: SampleSet) -> None:
    features = SampleSet(clean.x / np.float32(50), clean.y, SampleMetadata(range=(0, 6)))
    kept = craft(target, features, None, storage="uint8")
    np.testing.assert_array_equal(kept.x, features.x)
    assert (kept.metadata.range, kept.metadata.attack) == ((0, 6), AttackRecord("clean"))


def test_features_of_a_model_without_a_network_have_no_levels(target: Target, clean: SampleSet) -> None:
    features = SampleSet(clean.x / np.float32(255), clean.y, SampleMetadata(range=(0, 6)))
    levels = InputFormat(TensorType(SHAPE, "int8", 0, 1, 4.0))  # all samples are alike in these
    quantized = craft(dataclasses.replace(target, input_format=levels), features, None)
    assert quantized.correct["after_input_quantisation"] < 40
    kept = craft(dataclasses.replace(target, input_format=levels, model_hash=None), features, None)
    assert kept.correct == {"clean": 40, "attacked": 40}
    assert kept.metadata.float_model.predictions == tuple(clean.y)


def test_pixels_are_mapped_before_the_model_sees_them(clean: SampleSet) -> None:
    import tf_keras

    from stq_deploy.research.attacks.victim import Victim

    model = tf_keras.Sequential([tf_keras.layers.Flatten(input_shape=SHAPE), tf_keras.layers.Dense(2)])
    x = clean.x[:4] / np.float32(255)
    expected = model(2 * x - 1).numpy()
    np.testing.assert_allclose(Victim(model, input_range=(-1.0, 1.0)).logits(x), expected, atol=1e-5)


def test_other_shape_and_too_many_classes(target: Target, clean: SampleSet) -> None:
    with pytest.raises(StqError, match=r"samples have shape \(12, 4, 1\)"):
        craft(target, SampleSet(clean.x[:, :, :4], clean.y), None)
    with pytest.raises(StqError, match="the model has 2 classes"):
        craft(target, SampleSet(clean.x, clean.y + 1), None)


def test_a_softmax_is_cut_off_wherever_it_is() -> None:
    import tf_keras

    from stq_deploy.research.attacks.classifier import logits_model

    model: Any = tf_keras.Sequential([tf_keras.layers.Dense(3, activation="softmax", input_shape=(4,))])
    x = np.float32([[1, 2, 3, 4]])
    inside = logits_model(model)
    np.testing.assert_allclose(inside(x), x @ model.layers[-1].kernel.numpy(), rtol=1e-6)
    assert not np.allclose(inside(x), model(x))
    plain = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))])
    assert logits_model(plain) is plain
    cut = logits_model(tf_keras.Sequential([*plain.layers, tf_keras.layers.Softmax()]))
    assert [type(layer).__name__ for layer in cut.layers][-1] == "Dense"


def test_of_several_outputs_the_first_is_the_classes() -> None:
    import tf_keras
    from tf_keras import layers

    from stq_deploy.research.attacks.classifier import logits_model

    inputs = tf_keras.Input((4,))
    dense = layers.Dense(3, name="dense")(inputs)
    side = layers.Dense(5, activation="softmax", name="side")(inputs)
    x = np.float32([[1, 2, 3, 4]])
    expected = x @ tf_keras.Model(inputs, [dense, side]).get_layer("dense").kernel.numpy()
    for outputs in ([dense, side], [layers.Softmax(name="softmax")(dense), side]):
        np.testing.assert_allclose(logits_model(tf_keras.Model(inputs, outputs))(x), expected, rtol=1e-6)


@pytest.mark.parametrize("eps", ["0.001", "1/300", "0.0101"])
def test_unrounded_samples_keep_budgets_off_the_grid(target: Target, clean: SampleSet, eps: str) -> None:
    for norm in ("inf", "2"):
        attack = get_attack("pgd").from_text({"eps": eps, "norm": norm, "max_iter": "3"})
        made = craft(target, clean, attack, storage="float32")
        assert 0.5 * attack.eps < made.largest_change[norm] <= attack.eps * (1 + 1e-9)


@pytest.mark.parametrize("name", ["cw", "boundary"])
def test_searches_for_the_nearest_leave_constant_features_too(target: Target, clean: SampleSet, name: str) -> None:
    """At the range's end, where C&W cannot begin at the sample itself, and in its middle."""
    x = clean.x / np.float32(255)
    x[:, 0], x[:, 7] = 0.25, 0.0
    features = SampleSet(x, clean.y, SampleMetadata(range=(0, 1)))
    settings = {"cw": {"max_iter": "40"}, "boundary": {"max_iter": "60"}}[name]
    attack = get_attack(name).from_text({"eps": "60", "norm": "2", **settings})
    for made_of, start in (
        (target, (np.rint(x * 256) / 256).astype(np.float32)),
        (dataclasses.replace(target, model_hash=None), x),
    ):
        made = craft(made_of, features.first(4), attack, unit="std")
        assert not (made.x != start[:4])[:, [0, 7]].any()
        assert made.correct["attacked"] < made.correct["clean"]


def test_a_defended_sample_meets_the_same_noise_whatever_samples_are_beside_it(
    target: Target, clean: SampleSet
) -> None:
    attack = get_attack("pgd").from_text({"eps": "4/255", "max_iter": "6"})
    found = [craft(target, clean, attack, batch=batch, defence=RandomNoise(5.1, 2)).x for batch in (3, 7, 40)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
