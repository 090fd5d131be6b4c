"""Attacks in the training step: inside their budget, really attacks, and against what the loss says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.research.training import TrainingConfig, train
from stq_deploy.research.training.early_stop import EarlyStop
from stq_deploy.research.training.epoch_record import EpochRecord, Validation
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.schedule import ramp

pytestmark = pytest.mark.keras

EPS = 8 / 255
ATTACKS: list[dict[str, Any]] = [
    {"adversary": "fgsm-rs"},
    {"adversary": "n-fgsm"},
    {"adversary": "n-fgsm", "adversary_start": 1.0},
    {"adversary": "pgd", "adversary_steps": 2},
    {"adversary": "pgd", "adversary_steps": 3, "trades": 4.0},
    {"adversary": "fgsm-rs", "distillation": 1.0, "distillation_temperature": 2.0},
]


def _network(scheme: str) -> Any:
    """Convolution, batch norm, ReLU and a dense layer on 6x6 pictures, three classes."""
    import tf_keras
    from tf_keras import layers

    from stq_deploy.research.quantizers import noise
    from stq_deploy.zoo.layers import SchemeLayers
    from stq_deploy.zoo.schemes import get_scheme

    tf_keras.utils.set_random_seed(2)
    noise.set_state(noise.NoiseState(seed=5))
    chosen = get_scheme(scheme)
    make = SchemeLayers(chosen)
    inputs = layers.Input((6, 6, 1), name="input")
    x = make.activation(inputs, "quantize_input", chosen.input, "linear")
    x = make.relu(make.batch_norm(make.conv(x, "conv", 8, 3), "bn"), "relu")
    x = make.dense(layers.Flatten(name="flatten")(x), "dense", 3)
    return tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x))


def _linear(weights: NDArray[np.float32]) -> Any:
    """logits = x w, x flattened; w (36, classes)."""
    import tf_keras
    from tf_keras import layers

    inputs = layers.Input((6, 6, 1))
    x = layers.Dense(weights.shape[1], use_bias=False, name="dense")(layers.Flatten()(inputs))
    model = tf_keras.Model(inputs, layers.Activation("softmax")(x))
    model.get_layer("dense").set_weights([weights])
    return model


def _adversary(model: Any, recipe: Recipe) -> tuple[Any, Any]:
    from stq_deploy.research.training.adversary import Adversary
    from stq_deploy.research.training.objective import make_objective

    objective = make_objective(model, recipe)
    return Adversary(model, objective, recipe), objective


@pytest.mark.parametrize("scheme", ["fp", "stq"])
@pytest.mark.parametrize("entries", ATTACKS, ids=lambda entries: "-".join(str(value) for value in entries.values()))
def test_attacks_stay_in_their_budget_and_raise_what_is_trained(scheme: str, entries: dict[str, Any]) -> None:
    """More than the same random start does, of pictures with black and white pixels among them."""
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.straight_input import pass_gradient_through_input
    from stq_deploy.zoo.networks import logits_view

    model, recipe = _network(scheme), Recipe(**entries)
    pass_gradient_through_input(model)
    adversary, objective = _adversary(model, recipe)
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(0.5, 0.4, (64, 6, 6, 1)), 0, 1).astype(np.float32)
    assert (x == 0).any()
    assert (x == 1).any()
    labels = tf.one_hot(rng.integers(0, 3, 64), 3)
    taught = tf.constant(rng.normal(0, 2, (64, 3)), tf.float32) if recipe.distillation else None
    attacked = adversary(tf.constant(x), labels, taught, tf.constant(EPS)).numpy()

    width = (recipe.adversary_start or 2) if recipe.adversary == "n-fgsm" else 1
    budget = (width + 1 if recipe.adversary == "n-fgsm" else 1) * EPS
    assert np.abs(attacked - x).max() <= budget * (1 + 1e-5)
    assert np.abs(attacked - x).max() > 0.9 * EPS
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    view = logits_view(model)
    with noise.deterministic():
        clean = view(x, training=True)
    start = width * rng.uniform(-EPS, EPS, x.shape)

    def loss(samples: Any) -> float:
        with noise.deterministic():
            return float(objective.threat(view(samples, training=True), labels, taught, clean))

    assert loss(attacked) > loss(np.clip(x + start, 0, 1).astype(np.float32)) + 0.1
    assert loss(attacked) > loss(x) + 0.1


def test_against_a_linear_network_every_attack_ends_where_it_must() -> None:
    """The worst picture within eps is known there: each pixel moves by eps against the label's logit."""
    import tensorflow as tf

    w = np.random.default_rng(1).normal(0, 1, 36).astype(np.float32)
    model = _linear(np.stack([w, -w], 1))
    x = np.full((5, 6, 6, 1), 0.5, np.float32)
    labels = np.array([0, 1, 0, 1, 1])
    sign = np.where(labels == 0, -1, 1)[:, None, None, None] * np.sign(w).reshape(1, 6, 6, 1)

    def attacked(**entries: Any) -> NDArray[np.float32]:
        adversary, _ = _adversary(model, Recipe(**entries))
        out: NDArray[np.float32] = adversary(tf.constant(x), tf.one_hot(labels, 2), None, tf.constant(EPS)).numpy()
        return out

    for entries in ({"adversary": "fgsm-rs", "adversary_step": 2.0}, {"adversary": "pgd"}, {"adversary": "pgd"}):
        np.testing.assert_allclose(attacked(**entries), x + EPS * sign, atol=1e-6)
    rest = (attacked(adversary="n-fgsm") - x - EPS * sign) / (2 * EPS)  # the noise
    assert np.abs(rest).max() <= 1 + 1e-5
    assert np.std(rest) == pytest.approx(1 / np.sqrt(3), abs=0.1)
    half = (attacked(adversary="fgsm-rs", adversary_step=0.5) - x) * sign / EPS
    assert half.min() >= -0.5 - 1e-4
    assert half.mean() == pytest.approx(0.4375, abs=0.08)  # of min(u + 1/2, 1), u uniform in -1 .. 1


def test_the_inputs_quantizer_lets_the_gradient_through_and_keeps_its_values() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers.fast import use_fast_activations
    from stq_deploy.research.quantizers.straight_input import pass_gradient_through_input

    model = _network("stq")
    use_fast_activations(model)
    x = tf.constant(np.linspace(0, 1, 72, dtype=np.float32).reshape(2, 6, 6, 1))

    def values_and_gradient() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = model.get_layer("quantize_input")(x)
        return out.numpy(), tape.gradient(out, x).numpy()

    before, clipped = values_and_gradient()
    logits = model(x).numpy()
    assert clipped[0, 0, 0] == clipped[1, 5, 5] == 0
    assert pass_gradient_through_input(model) == 1
    after, passed = values_and_gradient()
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(model(x).numpy(), logits)
    np.testing.assert_array_equal(passed, 1)
    assert pass_gradient_through_input(_network("fp")) == 0


def test_the_loss_of_clean_and_attacked_samples() -> None:
    """By the formulas of the sources, computed in numpy."""
    import tensorflow as tf

    from stq_deploy.research.training.objective import make_objective

    rng = np.random.default_rng(0)
    model = _linear(rng.normal(0, 1, (36, 3)).astype(np.float32))
    clean, attacked = rng.random((2, 7, 6, 6, 1), dtype=np.float32)
    y = np.eye(3)[rng.integers(0, 3, 7)]
    p, q = (model(x).numpy().astype(np.float64) for x in (clean, attacked))
    of_clean, of_attacked = (-(y * np.log(one)).sum(1).mean() for one in (p, q))
    divergence = (p * np.log(p / q)).sum(1).mean()
    for entries, expected in (
        ({}, of_attacked),
        ({"clean_share": 0.25}, 0.25 * of_clean + 0.75 * of_attacked),
        ({"trades": 6.0}, of_clean + 6 * divergence),
    ):
        objective = make_objective(model, Recipe(adversary="pgd", **entries))
        loss, logits = objective(tf.constant(clean), tf.constant(y, tf.float32), None, tf.constant(attacked))
        assert float(loss) == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(tf.nn.softmax(logits), q, rtol=1e-4)


def test_accuracy_under_attack_is_exact_where_the_least_perturbation_is_known() -> None:
    """A linear network of two classes is right as long as the margin exceeds eps times the weights' L1 norm."""
    from stq_deploy.research.training.robust_accuracy import RobustEvaluator

    rng = np.random.default_rng(3)
    w = rng.normal(0, 1, 36).astype(np.float32)
    evaluator = RobustEvaluator(_linear(np.stack([w, -w], 1)))
    x = rng.integers(40, 216, (600, 6, 6, 1), dtype=np.uint8)  # so that nothing is cut off at 0 or 255
    margins = 2 * (x.reshape(600, 36) / 255.0) @ w.astype(np.float64)
    y = (margins < np.quantile(margins, 0.6)).astype(np.int64)
    margins = np.where(y == 0, margins, -margins)
    for levels in (0, 1, 4, 16):
        least = 2 * np.abs(w.astype(np.float64)).sum() * levels / 255
        found = evaluator.accuracy(x, y, levels / 255)
        assert found == pytest.approx(np.mean(margins > least), abs=1.5 / 600)
    assert 0 < np.mean(margins > least) < np.mean(margins > 0) < 1


def test_batch_norms_are_estimated_half_on_attacked_samples() -> None:
    from stq_deploy.research.training.batch_norm import BatchNormEstimator, get_statistics

    model = _network("fp")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1000, 6, 6, 1), dtype=np.uint8)
    seen = []

    def attack(part: slice) -> NDArray[np.float32]:
        seen.append((part.start, part.stop))
        return np.float32(1) - x[part] / np.float32(255)

    estimator = BatchNormEstimator(model)
    estimator.estimate(x, attack)
    assert seen == [(250, 500), (750, 1000)]
    mixed = np.concatenate([x[:250] / 255, 1 - x[250:500] / 255, x[500:750] / 255, 1 - x[750:] / 255])
    found = get_statistics(model)
    estimator.estimate(mixed.astype(np.float32))
    for ours, theirs in zip(found, get_statistics(model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    seen.clear()
    estimator.estimate(x[:40], attack)
    assert seen == [(0, 250)]


def test_the_budget_rises_over_its_share_of_the_run() -> None:
    assert [ramp(progress, 0.25) for progress in (0.0, 0.125, 0.25, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0.0, 0.0) == 1.0


def test_the_epoch_that_holds_out_best_is_kept() -> None:
    import tensorflow as tf

    weight = tf.Variable(0.0)
    keeper = EarlyStop([weight], 0, keep_best=True)
    history: list[EpochRecord] = []
    for number, (clean, attacked) in enumerate([(0.5, 0.1), (0.6, 0.3), (0.9, 0.2), (0.7, 0.3)]):
        weight.assign(float(number))
        validated = Validation(clean, robust_accuracy=attacked)
        history.append(EpochRecord(number + 1, 1.0, 0.5, 0.1, None, None, None, validated, 1.0))
        keeper.watch(history)
        assert not keeper.is_due(history)
    keeper.adopt_best()
    assert float(weight) == 1.0


def test_epochs_before_the_first_that_counts_are_not_the_best() -> None:
    import tensorflow as tf

    weight = tf.Variable(0.0)
    keeper = EarlyStop([weight], 2, first=2)
    history: list[EpochRecord] = []
    for number, clean in enumerate([0.9, 0.8, 0.5, 0.6, 0.4, 0.4]):
        weight.assign(float(number))
        history.append(EpochRecord(number + 1, 1.0, 0.5, 0.1, None, None, None, Validation(clean), 1.0))
        keeper.watch(history)
        assert keeper.is_due(history) == (number == 5)
    keeper.adopt_best()
    assert float(weight) == 3.0


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 8)
    pictures = rng.integers(0, 256, (80, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "cifar10_gray.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    source = tmp_path / "my_network.py"
    source.write_text(
        "from tf_keras import Model, layers\n"
        "from stq_deploy.zoo.layers import SchemeLayers\n"
        "def build(scheme, classes, input_shape):\n"
        "    make = SchemeLayers(scheme)\n"
        "    inputs = layers.Input(input_shape)\n"
        "    x = make.activation(inputs, 'quantize_input', scheme.input, 'linear')\n"
        "    x = make.dense(layers.Flatten()(make.relu(make.conv(x, 'conv', 4, 3, 2), 'relu')), 'fc', classes)\n"
        "    return Model(inputs, layers.Activation('softmax')(x))\n"
    )
    recipe = Recipe(epochs=2, batch_size=16, validation_samples=16)
    return TrainingConfig(
        out=tmp_path / "run", recipe=recipe, network=f"{source}:build", data=tmp_path / "cifar10_gray.npz"
    )


def _trained(config: TrainingConfig, name: str, **entries: Any) -> tuple[list[dict[str, Any]], list[NDArray[Any]]]:
    """The history without times, and every array of the checkpoint."""
    recipe = Recipe.model_validate(config.recipe.model_dump() | entries)
    run = dataclasses.replace(config, out=config.out.with_name(name), recipe=recipe)
    train(run)
    lines = [json.loads(line) for line in (run.out / "history.jsonl").read_text().splitlines()]
    with np.load(run.out / "checkpoint.npz") as archive:
        arrays = [archive[key] for key in archive.files if key != "record"]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines], arrays


def test_without_an_adversary_nothing_of_it_is_done(config: TrainingConfig) -> None:
    history, arrays = _trained(config, "plain")
    same, again = _trained(config, "unused", adversary_eps=2.0, eps_ramp=0.5, adversary_steps=7)
    assert history == same
    assert set(history[0]) == {
        *("epoch", "train_loss", "train_accuracy", "learning_rate", "temperature", "quantized_share"),
        "validation_accuracy",
    }
    for one, other in zip(arrays, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_records_its_budget_and_its_accuracy_under_attack(config: TrainingConfig) -> None:
    history, _ = _trained(config, "run", adversary="n-fgsm", eps_ramp=1.0, robust_validation_samples=12)
    assert [line["adversary_eps"] for line in history] == [4.0, 8.0]
    assert all(0 <= line["robust_accuracy"] <= line["validation_accuracy"] + 4 / 12 for line in history)


def test_a_certified_run_keeps_the_epoch_of_which_most_is_proved(config: TrainingConfig) -> None:
    entries = {"certified_share": 0.5, "stochastic": "none", "adversary_eps": 1.0, "eps_ramp": 1.0}
    history, _ = _trained(config, "run", robust_validation_samples=12, **entries)
    assert [line["adversary_eps"] for line in history] == [0.5, 1.0]
    assert all(line["certified_accuracy"] <= line["robust_accuracy"] for line in history)


def test_a_run_on_noisy_samples_says_how_right_it_is_on_them(config: TrainingConfig) -> None:
    plain, arrays = _trained(config, "plain")
    noisy, others = _trained(config, "noisy", noise=25.0)
    assert all(0 <= line["noisy_accuracy"] <= 1 for line in noisy)
    assert noisy[0]["train_loss"] != plain[0]["train_loss"]
    assert any((one != other).any() for one, other in zip(arrays, others, strict=True))


@pytest.mark.parametrize("entries", [{"adversary": "pgd"}, {"robust_validation_samples": 4}, {"noise": 3.0}])
def test_features_are_not_attacked(entries: dict[str, Any], config: TrainingConfig, tmp_path: Path) -> None:
    x, y = np.zeros((30, 8, 8), np.float32), np.arange(30) % 10
    np.savez(tmp_path / "features.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(StqError, match=r"not pixels[\s\S]*gray levels"):
        _trained(dataclasses.replace(config, data=tmp_path / "features.npz"), "run", **entries)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"trades": 1.0}, "need an adversary"),
        ({"clean_share": 0.5}, "need an adversary"),
        ({"adversary": "pgd", "trades": 1.0, "clean_share": 0.5}, "choose trades or clean_share"),
        ({"robust_validation_samples": 5, "validation_samples": 0}, "needs validation_samples"),
        ({"adversary": "pgd", "adversary_start": 1.5}, "only n-fgsm starts outside"),
        ({"adversary_eps": 0.0}, "greater than 0"),
        ({"adversary": "fgsm"}, "'none', 'fgsm-rs'"),
    ],
)
def test_entries_that_do_not_go_together_are_refused(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe(**entries)
