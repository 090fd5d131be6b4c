"""Whole runs on a few tiny pictures: repeatable, resumable, and leaving the files they promise."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.errors import StqError
from stq_deploy.training import TrainingConfig, train
from stq_deploy.training.recipe import Recipe

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 8)  # sorted by class, as real files are
    pictures = rng.integers(0, 256, (80, 8, 8), dtype=np.uint8)
    data = folder / "cifar10_gray.npz"
    np.savez(data, x_train=pictures, y_train=labels, x_test=pictures[:20], y_test=labels[:20])
    recipe = Recipe(
        epochs=2,
        batch_size=16,
        augment="crop-flip",
        validation_samples=16,
        batch_norm_samples=32,
        final_batch_norm_samples=32,
        temperature_end=64.0,
    )
    return TrainingConfig(out=folder / "straight", recipe=recipe, data=data, seed=3)


@pytest.fixture(scope="module")
def straight(config: TrainingConfig) -> TrainingConfig:
    train(config)
    return config


def _with(config: TrainingConfig, **changes: object) -> TrainingConfig:
    """The same run with other entries in its recipe."""
    return dataclasses.replace(config, recipe=Recipe.model_validate(config.recipe.model_dump() | changes))


def _arrays(config: TrainingConfig) -> dict[str, np.ndarray]:
    with np.load(config.out / "checkpoint.npz") as archive:
        return {name: archive[name] for name in archive.files if name != "record"}


def test_resumed_is_bit_for_bit_the_straight_run(straight: TrainingConfig) -> None:
    """One epoch, then a kill in the middle of the second, then resume."""
    config = dataclasses.replace(straight, out=straight.out.with_name("resumed"))

    class Kill(Exception):
        pass

    class Killer:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

        def step(self, epoch: int, step: int, loss: float) -> None:
            if (epoch, step) == (1, 1):
                raise Kill

    with pytest.raises(Kill):
        train(config, Killer())
    assert len((config.out / "history.jsonl").read_text().splitlines()) == 1
    assert not (config.out / "model.h5").exists()
    result = train(config, resume=True)

    expected, found = _arrays(straight), _arrays(config)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    reference = json.loads((straight.out / "result.json").read_text())
    assert result["test_accuracy"] == reference["test_accuracy"]
    assert result["last_epoch"]["train_loss"] == reference["last_epoch"]["train_loss"]


def test_record_and_files(straight: TrainingConfig) -> None:
    from stq_deploy.quantizers.factory import load_model
    from stq_deploy.training.result import sha256

    result = json.loads((straight.out / "result.json").read_text())
    assert result["finished"]
    assert result["test_samples"] == 20
    assert result["config"]["seed"] == 3
    assert str(straight.out) not in json.dumps(result["config"])
    assert result["model_sha256"] == sha256(straight.out / "model.h5")
    history = [json.loads(line) for line in (straight.out / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]
    assert [line["temperature"] for line in history] == [8.0, 64.0]
    assert history[0]["train_loss"] != history[1]["train_loss"]

    model = load_model(str(straight.out / "model.h5"))
    with np.load(straight.data) as archive:
        x, y = archive["x_test"][..., None] / np.float32(255), archive["y_test"]
    assert np.mean(model.predict(x, verbose=0).argmax(-1) == y) == result["test_accuracy"]
    assert list(straight.out.glob(".*")) == []


def test_a_run_is_not_overwritten_nor_mixed(straight: TrainingConfig) -> None:
    with pytest.raises(StqError, match="already") as error:
        train(straight)
    assert "--resume" in str(error.value)
    with pytest.raises(StqError, match=r"learning_rate: 0\.001 then, 0\.01 now"):
        train(_with(straight, learning_rate=0.01), resume=True)


def test_damaged_checkpoint_is_explained(straight: TrainingConfig, tmp_path: Path) -> None:
    whole = (straight.out / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StqError, match="cannot resume"):
        train(dataclasses.replace(straight, out=tmp_path), resume=True)


def test_warm_start_takes_every_weight(straight: TrainingConfig, tmp_path: Path) -> None:
    from stq_deploy.quantizers.factory import load_model
    from stq_deploy.training.source_model import take_weights
    from stq_deploy.zoo.networks import build_network

    trained = load_model(str(straight.out / "model.h5"))
    twin = build_network(scheme="fp", input_shape=(8, 8, 1))
    take_weights(twin, str(straight.out / "model.h5"))
    for ours, theirs in zip(twin.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(StqError, match="does not fit at layer 'fc1'"):
        take_weights(build_network(scheme="fp", input_shape=(16, 16, 1)), str(straight.out / "model.h5"))
    with pytest.raises(StqError, match="no such model"):
        take_weights(twin, str(tmp_path / "absent.h5"))
    (tmp_path / "junk.h5").write_bytes(b"junk")
    with pytest.raises(StqError, match="cannot read"):
        take_weights(twin, str(tmp_path / "junk.h5"))


def test_batch_norm_estimate_is_deterministic_and_exact(straight: TrainingConfig) -> None:
    """The first layer's statistics are those of its input, whatever the noise."""
    import tf_keras

    from stq_deploy.quantizers.factory import load_model
    from stq_deploy.training import batch_norm

    model = load_model(str(straight.out / "model.h5"))
    x = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    before = [weight.numpy() for weight in model.trainable_weights]
    estimator = batch_norm.BatchNormEstimator(model)
    estimator.estimate(x)
    first = batch_norm.get_statistics(model)
    estimator.estimate(x)
    for ours, again in zip(first, batch_norm.get_statistics(model), strict=True):
        np.testing.assert_array_equal(ours, again)
    for ours, kept in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(ours.numpy(), kept)
    conv1 = tf_keras.Model(model.input, model.get_layer("conv1").output)(x / np.float32(255)).numpy()
    np.testing.assert_allclose(first[0], conv1.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first[1], conv1.var((0, 1, 2)), rtol=1e-3)


def test_export_keeps_every_prediction_and_repeats_its_bytes(straight: TrainingConfig, tmp_path: Path) -> None:
    from stq_deploy.training.pretrained import export_pretrained

    first = export_pretrained(straight.out, tmp_path / "a.h5", straight.data)
    second = export_pretrained(straight.out, tmp_path / "b.h5", straight.data)
    assert first["sha256"] == second["sha256"]
    assert first["same_predictions_as_trained_model"] == first["test_samples"] == 20
    assert first["bytes"] < 0.2 * (straight.out / "model.h5").stat().st_size
    assert json.loads((tmp_path / "a.json").read_text())["test_right"] == first["test_right"]
    with pytest.raises(StqError, match="no finished training run"):
        export_pretrained(tmp_path, tmp_path / "c.h5", straight.data)
    assert not (tmp_path / "c.h5").exists()
