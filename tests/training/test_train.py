"""Whole runs on a few tiny pictures: repeatable, resumable, and leaving the files they promise."""

from __future__ import annotations

import dataclasses
import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.research.training import TrainingConfig, train
from stq_deploy.research.training.progress import Silent
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.zoo.shipped import ShippedModel
from tests.helpers.command_line import invoke

pytestmark = pytest.mark.keras

FEW: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 16,
    "augment": "crop-flip",
    "validation_samples": 16,
    "batch_norm_samples": 32,
    "final_batch_norm_samples": 32,
}
EVERYTHING: dict[str, Any] = {
    "epochs": 4,
    "average_decay": 0.9,
    "patience": 4,
    "distillation": 0.5,
    "weight_decay": 0.01,
    "cutout": 3,
    "label_smoothing": 0.1,
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 8)  # sorted by class, as real files are
    pictures = rng.integers(0, 256, (80, 8, 8), dtype=np.uint8)
    data = folder / "cifar10_gray.npz"
    np.savez(data, x_train=pictures, y_train=labels, x_test=pictures[:20], y_test=labels[:20])
    return TrainingConfig(out=folder / "straight", recipe=Recipe(**FEW, temperature_end=64.0), data=data, seed=3)


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


def _model_weights(config: TrainingConfig) -> list[np.ndarray]:
    """Weights of the model that was written; the file's bytes also hold the time."""
    from stq_deploy.frontend.keras_model import read_keras_model

    return read_keras_model(str(config.out / "model.h5")).get_weights()


NETWORK = """
from tf_keras import Model, layers
from stq_deploy.zoo.layers import SchemeLayers

def build(scheme, classes, input_shape):
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape)
    x = make.relu(make.batch_norm(make.conv(inputs, "conv1", 8, 3, 2), "bn1"), "relu1")
    x = make.dense(layers.Flatten(name="flatten")(x), "fc", classes)
    return Model(inputs, layers.Activation("softmax", name="softmax")(x))
"""

KILLER = """
import os, pickle, signal, sys
from stq_deploy.research.training import train
from stq_deploy.research.training.progress import Silent

class Killer(Silent):
    def step(self, epoch, step, loss):
        if (epoch, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGKILL)

train(pickle.load(sys.stdin.buffer), Killer())
"""


class Ended(BaseException):
    """Nothing that trains handles it."""


class Ender(Silent):
    """Ends a run within this process, at the step at which `KILLER` kills its own."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        if (epoch, step) == (2, 1):
            raise Ended


def _kill(config: TrainingConfig) -> None:
    """Train in a process of its own, which dies by SIGKILL in the third epoch."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLER], input=pickle.dumps(config), capture_output=True, check=False, timeout=300
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def _end(config: TrainingConfig) -> None:
    """Train in this process, and stop in the third epoch; that takes no second TensorFlow."""
    with pytest.raises(Ended):
        train(config, Ender())


@pytest.fixture(scope="module")
def small(config: TrainingConfig) -> TrainingConfig:
    """A run of a network of the user's own, a few seconds long."""
    source = config.out.with_name("my_network.py")
    source.write_text(NETWORK)
    return dataclasses.replace(
        config, out=config.out.with_name("small"), network=f"{source}:build", scheme="ternary", recipe=Recipe(**FEW)
    )


@pytest.fixture(scope="module")
def teacher(small: TrainingConfig) -> str:
    fp = dataclasses.replace(small, out=small.out.with_name("fp"), scheme="fp", recipe=Recipe(**FEW | {"epochs": 1}))
    train(fp)
    return str(fp.out / "model.h5")


@pytest.mark.parametrize(
    ("end", "scheme", "changes"),
    [
        (_kill, "s-binary", {"stochastic": "draws", "jacobian": 0.01, "jacobian_layers": 0.01, "optimizer": "sgd"}),
        (_end, "stq", {"stochastic": "gradual", "gradual_shares": [0.5, 1.0], "mixup": 0.4, "precision": "bfloat16"}),
        (_end, "stq", {"adversary": "pgd", "clean_share": 0.2, "eps_ramp": 0.5, "robust_validation_samples": 8}),
        (_end, "stq", {"sparsity": {"conv1": 0.9, "fc": 0.5}, "sparsity_ramp": 0.9, "stochastic": "gradual"}),
        (_end, "fp", {"adversary": "n-fgsm", "trades": 2.0, "precision": "bfloat16", "awp": 0.01, "noise": 5.0}),
    ],
)
def test_ended_and_resumed_is_bit_for_bit_the_straight_run(
    end: Callable[[TrainingConfig], None],
    scheme: str,
    changes: dict[str, object],
    small: TrainingConfig,
    teacher: str,
    tmp_path: Path,
) -> None:
    """Ended in the middle of the third epoch, with everything on that has a state: averages, the best weights, a
    teacher, draws, momentum.
    """
    from stq_deploy.research.training.result import sha256

    recipe = Recipe(**FEW | EVERYTHING | changes, warm_start=teacher)
    straight = dataclasses.replace(small, out=tmp_path / "straight", scheme=scheme, recipe=recipe)
    killed = dataclasses.replace(straight, out=tmp_path / "killed")
    train(straight)
    end(killed)
    assert len((killed.out / "history.jsonl").read_text().splitlines()) == 2
    assert not (killed.out / "model.h5").exists()
    result = train(killed, resume=True, keep_teaching=tmp_path / "kept")

    expected, found = _arrays(straight), _arrays(killed)
    assert expected.keys() == found.keys()
    groups = {"weight", "optimizer", "average", "best"} | ({"mask"} if "sparsity" in changes else set())
    assert {name.partition("_")[0] for name in expected} == groups
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    reference = json.loads((straight.out / "result.json").read_text())
    for ours, theirs in zip(_model_weights(killed), _model_weights(straight), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert result.last_epoch.train_loss == reference["last_epoch"]["train_loss"]
    assert result.built_on_sha256 == dict.fromkeys(("warm_start", "teacher"), sha256(Path(teacher)))
    assert len(list((tmp_path / "kept").iterdir())) == 2  # the teacher's answers, of the two epochs that were left
    if "sparsity" in changes:
        last = json.loads((killed.out / "history.jsonl").read_text().splitlines()[-1])
        assert 0 < last["nonzero_share"] <= 0.5
        kernels = [weights for weights in _model_weights(killed) if weights.ndim in (2, 4)]
        assert [np.mean(kernel == 0) >= share for kernel, share in zip(kernels, (0.9, 0.5), strict=True)] == [True] * 2
    if "gradual_shares" in changes:
        history = [json.loads(line) for line in (killed.out / "history.jsonl").read_text().splitlines()]
        assert [line["quantized_share"] for line in history] == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("scheme", ["fp", "8bit", "4bit", "ternary", "stq", "2bit", "binary", "s-binary"])
def test_every_scheme_learns(scheme: str, small: TrainingConfig, tmp_path: Path) -> None:
    """One class dark, one bright: a few steps tell them apart, in every scheme and with every kind of product."""
    y = np.arange(64) % 2
    x = np.random.default_rng(1).integers(0, 100, (64, 8, 8), dtype=np.uint8) + (155 * y[:, None, None]).astype(
        np.uint8
    )
    data = tmp_path / "two.npz"
    np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y, classes=["dark", "bright"])
    recipe = Recipe(epochs=4, batch_size=16, learning_rate=0.02, validation_samples=0, precision="bfloat16")
    config = dataclasses.replace(small, out=tmp_path / "run", data=data, scheme=scheme, recipe=recipe)
    assert train(config).test_accuracy > 0.9


@pytest.mark.parametrize(("network", "variant"), [("stq", "strided"), ("resnet_v1", "pooled"), ("ds_cnn", "pooled")])
def test_the_zoos_networks_take_a_step_on_features(network: str, variant: str) -> None:
    import tensorflow as tf

    from stq_deploy.research.training.averaging import WeightAverage
    from stq_deploy.research.training.objective import make_objective
    from stq_deploy.research.training.step import make_optimizer, make_step
    from stq_deploy.zoo.networks import build_network

    model = build_network(network, scheme="stq", variant=variant, classes=3, input_shape=(12, 10, 1), features=True)
    assert model.get_layer("quantize_input").quantizer.symmetric  # signed: features, not pixels
    before = [weight.numpy() for weight in model.trainable_variables]
    recipe = Recipe(optimizer="sgd")
    objective = make_objective(model, recipe)
    step = make_step(model, make_optimizer(model, recipe), objective, WeightAverage(model, 0.0), recipe)
    x = np.random.default_rng(0).normal(0, 30, (8, 12, 10, 1)).astype(np.float32)
    loss, right = step(tf.constant(x), tf.one_hot(np.arange(8) % 3, 3), None, tf.constant(0.1))
    assert np.isfinite(float(loss))
    assert 0 <= int(right) <= 8
    moved = [np.any(now.numpy() != then) for now, then in zip(model.trainable_variables, before, strict=True)]
    assert np.mean(moved) > 0.8


def test_command_overrides_the_recipe_and_its_model_converts(small: TrainingConfig, tmp_path: Path) -> None:
    from stq_deploy.network.input_format import quantize_input
    from stq_deploy.network.reference import run
    from stq_deploy.pipeline import convert_model

    arguments = ["train", "--recipe", "smoke", "--dataset", "cifar10", "--scheme", "stq", "--data", small.data]
    arguments += ["--network", small.network, "--out", tmp_path / "run", "--epochs", 2, "--batch-size", 16]
    arguments += ["--set", "validation_samples=8", "--set", "augment=none"]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "epoch    2/2" in result.output
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    recipe = record["config"]["recipe"]
    assert (recipe["epochs"], recipe["augment"], recipe["temperature_end"]) == (2, "none", 200.0)
    assert record["config"]["recipe_sha256"] == Recipe(**recipe).sha256()
    assert record["config"]["network"] == "my_network.py:build"

    network = convert_model(tmp_path / "run" / "model.h5")
    with np.load(str(small.data)) as archive:
        x, y = archive["x_test"][..., None], archive["y_test"]
    logits = run(network, quantize_input(x / np.float32(255), network.input_format))
    assert np.mean(np.argmax(logits, -1) == y) == pytest.approx(record["test_accuracy"], abs=0.06)
    assert invoke(*arguments).exit_code == 1
    assert invoke(*arguments, "--resume").exit_code == 0


def test_early_stop_keeps_the_best_epoch(small: TrainingConfig, tmp_path: Path) -> None:
    """With a learning rate that moves nothing no epoch beats the first."""
    recipe = Recipe(**FEW | {"epochs": 9, "patience": 2, "learning_rate": 1e-12, "final_learning_rate": 1e-12})
    config = dataclasses.replace(small, out=tmp_path / "run", recipe=recipe)
    result = train(config, tensorboard=True)
    assert result.finished
    assert result.epochs_done == 3
    assert [path.suffix for path in (config.out / "tensorboard").iterdir()] == [".v2"]
    best = _model_weights(config)
    train(config, resume=True)
    for ours, theirs in zip(_model_weights(config), best, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_average_of_the_weights_is_kept_and_the_present_ones_are_put_back() -> None:
    import tensorflow as tf
    import tf_keras

    from stq_deploy.research.training.averaging import WeightAverage

    model = tf_keras.Sequential([tf_keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.build((None, 1))
    average = WeightAverage(model, 0.5)
    expected = 0.0
    for step in range(1, 4):
        model.weights[0].assign([[float(step)]])
        average.update(tf.constant(step, tf.int64))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.in_place():
        assert model.weights[0].numpy().item() == pytest.approx(expected, rel=1e-6)
    assert model.weights[0].numpy().item() == 3.0
    average.adopt()
    assert model.weights[0].numpy().item() == pytest.approx(expected, rel=1e-6)


def test_distillation_pulls_towards_the_teacher(small: TrainingConfig, teacher: str) -> None:
    """Its part of the loss is KL's definition, and nothing for a student that is the teacher."""
    import tensorflow as tf

    from stq_deploy.research.training.objective import make_objective
    from stq_deploy.research.training.source_model import read_model, read_teacher
    from stq_deploy.research.training.teacher import Teacher
    from stq_deploy.zoo.networks import build_network, logits_view

    student = build_network(small.network, scheme="fp", input_shape=(8, 8, 1))
    x = np.random.default_rng(0).random((6, 8, 8, 1), dtype=np.float32)
    y = tf.one_hot([0, 1, 2, 3, 4, 5], 10)
    recipe = Recipe(distillation=1, distillation_temperature=3)
    taught = Teacher(teacher, student, recipe).logits(x)
    loss, logits = make_objective(student, recipe)(tf.constant(x), y, taught)
    p = tf.nn.softmax(logits_view(read_model(teacher).keras)(x) / 3).numpy().astype(np.float64)
    q = tf.nn.softmax(logits / 3).numpy().astype(np.float64)
    assert float(loss) == pytest.approx(9 * (p * np.log(p / q)).sum(1).mean(), rel=1e-4)
    with pytest.raises(StqError, match=r"teacher's input has shape \(None, 8, 8, 1\)"):
        read_teacher(teacher, build_network(small.network, scheme="fp", input_shape=(8, 9, 1)))


def test_a_recipe_that_distils_wants_a_teacher(small: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(StqError, match=r"no teacher[\s\S]*--warm-start"):
        train(dataclasses.replace(small, out=tmp_path / "run", recipe=Recipe(**FEW | {"distillation": 0.5})))


def test_record_and_files(straight: TrainingConfig) -> None:
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training.result import read_finished, sha256

    result = read_finished(straight.out)
    assert result.to_json() == json.loads((straight.out / "result.json").read_text())
    assert result.to_json()["finished"]
    assert result.test_samples == 20
    assert result.config.seed == 3
    assert str(straight.out) not in json.dumps(result.config.to_json())
    assert result.model_sha256 == sha256(straight.out / "model.h5")
    history = [json.loads(line) for line in (straight.out / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]
    assert [line["temperature"] for line in history] == [8.0, 64.0]
    assert history[0]["train_loss"] != history[1]["train_loss"]

    model = read_keras_model(str(straight.out / "model.h5"))
    with np.load(straight.data) as archive:
        x, y = archive["x_test"][..., None] / np.float32(255), archive["y_test"]
    assert np.mean(model.predict(x, verbose=0).argmax(-1) == y) == result.test_accuracy
    assert list(straight.out.glob(".*")) == []


def test_a_run_is_not_overwritten_nor_mixed(straight: TrainingConfig) -> None:
    with pytest.raises(StqError, match="already") as error:
        train(straight)
    assert "--resume" in str(error.value)
    with pytest.raises(StqError, match=r"cause: learning_rate: 0\.001 then, 0\.01 now"):
        train(_with(straight, learning_rate=0.01), resume=True)


def test_a_run_of_before_a_recipe_had_some_entry_goes_on(small: TrainingConfig, tmp_path: Path) -> None:
    """What the entry does by default is what was done then."""
    run = dataclasses.replace(small, out=tmp_path / "run")
    train(run, stop_after=1)
    checkpoint = run.out / "checkpoint.npz"
    with np.load(checkpoint) as archive:
        arrays = {name: archive[name] for name in archive.files}
    record = json.loads(str(arrays.pop("record")))
    del record["settings"]["recipe"]["fit_activations"]
    np.savez(checkpoint, record=np.array(json.dumps(record)), **arrays)
    with pytest.raises(StqError, match="fit_activations: False then, True now"):
        train(_with(run, fit_activations=True), resume=True)
    assert train(run, resume=True).finished


def test_damaged_checkpoint_is_explained(straight: TrainingConfig, tmp_path: Path) -> None:
    whole = (straight.out / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StqError, match="cannot resume"):
        train(dataclasses.replace(straight, out=tmp_path), resume=True)


def test_warm_start_takes_every_weight(straight: TrainingConfig, tmp_path: Path) -> None:
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training.source_model import take_weights
    from stq_deploy.zoo.networks import build_network

    trained = read_keras_model(str(straight.out / "model.h5"))
    twin = build_network(scheme="fp", input_shape=(8, 8, 1))
    take_weights(twin, str(straight.out / "model.h5"))
    for ours, theirs in zip(twin.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(StqError, match="does not fit at layer 'fc1'"):
        take_weights(build_network(scheme="fp", input_shape=(16, 16, 1)), str(straight.out / "model.h5"))
    with pytest.raises(StqError, match="no such model"):
        take_weights(twin, str(tmp_path / "absent.h5"))
    (tmp_path / "junk.h5").write_bytes(b"junk")
    with pytest.raises(StqError, match="not a usable model file"):
        take_weights(twin, str(tmp_path / "junk.h5"))


def test_a_model_to_start_from_runs_no_code(tmp_path: Path) -> None:
    import tf_keras

    from stq_deploy.research.training.source_model import read_model

    ran = tmp_path / "ran"
    marker = str(ran)
    called = tf_keras.layers.Lambda(lambda x: (Path(marker).touch(), x)[1])
    inputs = tf_keras.Input((4,))
    tf_keras.Model(inputs, called(inputs)).save(tmp_path / "hostile.h5")
    assert ran.exists()  # Keras runs it when the model is made
    ran.unlink()
    with pytest.raises(StqError, match="Python code"):
        read_model(str(tmp_path / "hostile.h5"))
    assert not ran.exists()


def test_batch_norm_estimate_is_deterministic_and_exact(straight: TrainingConfig) -> None:
    """The first layer's statistics are those of its input, whatever the noise."""
    import tf_keras

    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training import batch_norm

    model = read_keras_model(str(straight.out / "model.h5"))
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


@pytest.fixture(scope="module")
def exported(straight: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> ShippedModel:
    """`straight`, exported once for all tests; they change copies of it."""
    from stq_deploy.research.training.pretrained import export_pretrained

    folder = tmp_path_factory.mktemp("exported")
    return ShippedModel("a", export_pretrained(straight.out, folder / "a.h5", straight.data), folder)


def _copy(exported: ShippedModel, folder: Path) -> Path:
    """The exported model and its record in another folder; returns the model's path."""
    for suffix in ("h5", "json"):
        (folder / f"a.{suffix}").write_bytes((exported.folder / f"a.{suffix}").read_bytes())
    return folder / "a.h5"


def test_export_keeps_every_prediction_and_repeats_its_bytes(
    straight: TrainingConfig, exported: ShippedModel, tmp_path: Path
) -> None:
    from stq_deploy.research.training.pretrained import export_pretrained

    first = exported.record
    second = export_pretrained(straight.out, tmp_path / "b.h5", straight.data)
    assert first.model.sha256 == second.model.sha256
    assert first.same_predictions_as_trained_model == first.model.test_samples == 20
    assert first.model.bytes < 0.2 * (straight.out / "model.h5").stat().st_size
    assert json.loads((exported.folder / "a.json").read_text())["test_right"] == first.model.test_right
    with pytest.raises(StqError, match="no finished training run"):
        export_pretrained(tmp_path, tmp_path / "c.h5", straight.data)
    assert not (tmp_path / "c.h5").exists()


def test_recompressing_what_is_small_already_changes_nothing(
    straight: TrainingConfig, exported: ShippedModel, tmp_path: Path
) -> None:
    from stq_deploy.research.training.pretrained import recompress

    model = _copy(exported, tmp_path)
    content = model.read_bytes()
    assert recompress(ShippedModel("a", exported.record, tmp_path), straight.data) == exported.record
    assert model.read_bytes() == content


def test_recompressing_restores_what_an_older_export_left_large(
    straight: TrainingConfig, exported: ShippedModel, tmp_path: Path
) -> None:
    """The same weights, not deflated, stand for it; nothing of the run is needed."""
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training.pretrained import recompress
    from stq_deploy.research.training.result import save_model

    model = _copy(exported, tmp_path)
    content = model.read_bytes()
    save_model(read_keras_model(str(model)), model)
    assert model.stat().st_size > 2 * len(content)
    assert recompress(ShippedModel("a", exported.record, tmp_path), straight.data).model.bytes == len(content)


def test_recompressing_a_floating_point_model_rounds_its_kernels(
    straight: TrainingConfig, exported: ShippedModel, tmp_path: Path
) -> None:
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training.pretrained import ROUNDED, recompress
    from stq_deploy.research.training.result import save_model
    from stq_deploy.research.training.settle import round_mantissa
    from stq_deploy.zoo.networks import build_network

    model = build_network(scheme="fp", variant=straight.variant, classes=10, input_shape=(8, 8, 1))
    save_model(model, tmp_path / "a.h5")
    large = (tmp_path / "a.h5").stat().st_size
    before_it = dataclasses.replace(exported.record, weights="as trained")
    found = recompress(ShippedModel("a", before_it, tmp_path), straight.data)
    assert found.weights == ROUNDED
    assert found.model.bytes == (tmp_path / "a.h5").stat().st_size < large
    assert json.loads((tmp_path / "a.json").read_text()) == found.to_json()
    rounded = read_keras_model(str(tmp_path / "a.h5"))
    for before, after in zip(model.get_weights(), rounded.get_weights(), strict=True):
        np.testing.assert_array_equal(after, round_mantissa(before, 8) if before.ndim > 1 else before)
