"""Cross validation on a few tiny pictures: every sample tested once, resumed fold by fold, scored as it says."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from tests.helpers.command_line import invoke

pytestmark = pytest.mark.keras

NETWORK = """
from tf_keras import Model, layers
from stq_deploy.zoo.layers import SchemeLayers

def build(scheme, classes, input_shape):
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape, name="input")
    x = make.activation(inputs, "quantize_input", scheme.input, "linear")
    x = make.relu(make.batch_norm(make.conv(x, "conv1", 4, 3, 2), "bn1"), "relu1")
    x = make.dense(layers.Flatten(name="flatten")(x), "fc", classes)
    return Model(inputs, layers.Activation("softmax", name="softmax")(x))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    (folder / "mine.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 12)
    x = rng.integers(0, 90, (48, 8, 8), dtype=np.uint8) + (50 * y[:, None, None]).astype(np.uint8)
    np.savez(folder / "cifar10.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:], classes=list("abcd"))
    return folder


@pytest.fixture(scope="module")
def validation(folder: Path) -> Any:
    from stq_deploy.evaluation.cross_validation import CrossValidation
    from stq_deploy.research.attacks.fgsm import Fgsm
    from stq_deploy.research.training import TrainingConfig
    from stq_deploy.research.training.recipe import Recipe

    recipe = Recipe(epochs=1, batch_size=8, validation_samples=0, learning_rate=1e-2)
    config = TrainingConfig(
        out=folder / "out",
        recipe=recipe,
        network=f"{folder / 'mine.py'}:build",
        scheme="ternary",
        data=folder / "cifar10.npz",
        seed=5,
    )
    return CrossValidation(config, 3, {"fgsm": Fgsm(eps=0.3)}, attack_samples=6)


def test_folds_test_every_sample_once(validation: Any) -> None:
    from stq_deploy.datasets import load_dataset
    from stq_deploy.research.training.folds import CrossValidationFold, take_fold

    dataset = dataclasses.replace(load_dataset("cifar10", validation.training.data), validation=np.arange(3))
    everything = np.concatenate([dataset.x_train, dataset.x_test])
    parts = [take_fold(dataset, CrossValidationFold(number, 3), 5) for number in range(3)]
    tested = sorted(picture.tobytes() for part in parts for picture in part.x_test)
    assert tested == sorted(picture.tobytes() for picture in everything)
    for part in parts:
        assert len(part.x_train) == 32 and part.validation is None  # the indices would mean other samples now
        assert not {p.tobytes() for p in part.x_train} & {p.tobytes() for p in part.x_test}
    again, other = (take_fold(dataset, CrossValidationFold(0, 3), seed) for seed in (5, 6))
    np.testing.assert_array_equal(again.x_test, parts[0].x_test)
    assert not np.array_equal(other.x_test, parts[0].x_test)
    with pytest.raises(StqError, match="48 samples cannot be split into 49 folds"):
        take_fold(dataset, CrossValidationFold(0, 49), 5)


def test_a_stopped_validation_goes_on_fold_by_fold(validation: Any) -> None:
    from stq_deploy.evaluation.cross_validation import cross_validate
    from stq_deploy.evaluation.engines import run_locally

    class Stop(Exception):
        pass

    def stop_in_second(number: int, _: Any) -> None:
        if number == 1:
            raise Stop

    with pytest.raises(Stop):
        cross_validate(validation, run_locally, stop_in_second)
    out = validation.training.out
    first = out / "fold_01" / "model.h5"
    written = first.stat().st_mtime_ns
    assert not (out / "cross_validation.json").exists()
    result = cross_validate(validation, run_locally)
    assert first.stat().st_mtime_ns == written  # not trained again
    assert result.to_json() == json.loads((out / "cross_validation.json").read_text())

    assert [fold["none"].total for fold in result.folds] == [16, 16, 16]
    assert [fold["fgsm"].total for fold in result.folds] == [6, 6, 6]
    trained = json.loads((out / "fold_02" / "result.json").read_text())
    assert trained["config"]["fold"] == "2 of 3"
    assert trained["test_accuracy"] == result.folds[1]["none"].share
    shares = [100 * fold["none"].share for fold in result.folds]
    assert result.procedures["none"].mean == pytest.approx(np.mean(shares))
    assert result.procedures["none"].variance == pytest.approx(np.var(shares, ddof=1))
    assert result.git_commits == ((trained["git_commit"],) if trained["git_commit"] else ())
    assert result.versions == trained["versions"]
    assert list(result.command) == trained["command"]

    other = dataclasses.replace(validation, attack_samples=7)  # other settings: scored anew, from the same training
    assert cross_validate(other, run_locally).folds[0]["fgsm"].total == 7


def test_features_are_refused_before_anything_is_trained(validation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from stq_deploy.datasets import load_dataset
    from stq_deploy.evaluation import cross_validation

    pixels = load_dataset("cifar10", validation.training.data)
    features = dataclasses.replace(pixels, x_train=pixels.x_train.astype(np.int8), x_test=pixels.x_test.astype(np.int8))
    monkeypatch.setattr(cross_validation, "load_dataset", lambda *_: features)
    with pytest.raises(StqError, match="attacks change pixels"):
        cross_validation.cross_validate(validation, lambda *_: pytest.fail("something was trained"))


def test_transfer_is_refused_before_anything_is_trained(validation: Any) -> None:
    from stq_deploy.evaluation import cross_validation
    from stq_deploy.research.attacks.transfer import Transfer

    by_transfer = dataclasses.replace(validation, attacks={"transfer": Transfer()})
    with pytest.raises(StqError, match="needs another model"):
        cross_validation.cross_validate(by_transfer, lambda *_: pytest.fail("something was trained"))


def test_interval_is_students() -> None:
    """Against the textbook's: t(0.975, 4) = 2.776445."""
    from stq_deploy.evaluation.cross_validation import spread

    found = spread([0.80, 0.82, 0.81, 0.79, 0.83])
    assert found.mean == pytest.approx(81.0)
    assert found.variance == pytest.approx(2.5)
    half = 2.776445 * (2.5 / 5) ** 0.5
    assert found.interval95 == pytest.approx([81 - half, 81 + half], abs=1e-5)


def test_ray_missing_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from stq_deploy.evaluation.engines import run_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StqError, match=r"needs Ray[\s\S]*install it: [^;]*\[ray\]"):
        list(run_on_ray(lambda number: number, range(2)))


def test_ray_runs_every_fold_and_hands_on_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in of Ray's few calls; the next test takes the real one, where it is installed."""

    class TaskError(Exception):
        cause: Exception

    def get(future: tuple[Any, int]) -> Any:
        task, number = future
        try:
            return task(number)
        except StqError as error:
            wrapped = TaskError()
            wrapped.cause = error
            raise wrapped from None

    ray = types.ModuleType("ray")
    vars(ray).update(
        init=lambda **_: None,
        remote=lambda task: types.SimpleNamespace(remote=lambda number: (task, number)),
        wait=lambda futures: (futures[-1:], futures[:-1]),  # the last is ready first
        get=get,
        exceptions=types.SimpleNamespace(RayTaskError=TaskError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    from stq_deploy.evaluation.engines import run_on_ray

    class Square:
        def __call__(self, number: int) -> int:
            if number == 9:
                raise StqError("nine")
            return number**2

    def results(numbers: list[int]) -> Iterator[tuple[int, int]]:
        return run_on_ray(Square(), numbers)

    assert list(results([1, 2, 3])) == [(3, 9), (2, 4), (1, 1)]
    with pytest.raises(StqError, match="nine"):
        list(results([9]))


def test_real_ray_gives_the_same_scores(validation: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from stq_deploy.evaluation.cross_validation import cross_validate
    from stq_deploy.evaluation.engines import run_locally, run_on_ray

    here, there = (
        dataclasses.replace(validation, attacks={}, training=dataclasses.replace(validation.training, out=tmp_path / n))
        for n in ("local", "ray")
    )
    assert cross_validate(there, run_on_ray).folds == cross_validate(here, run_locally).folds
    from stq_deploy.research.training.recipe import Recipe

    wrong = dataclasses.replace(
        there.training, recipe=Recipe(validation_samples=0, distillation=1), out=tmp_path / "wrong"
    )
    with pytest.raises(StqError, match="no teacher"):
        cross_validate(dataclasses.replace(there, training=wrong), run_on_ray)


def test_command_prints_the_table(folder: Path, validation: Any) -> None:
    result = invoke(
        "cross-validate", "--folds", 2, "--network", validation.training.network, "--scheme", "fp", "--epochs", 1,
        "--data", folder / "cifar10.npz", "--out", folder / "two", "--set", "validation_samples=0", "--batch-size", 8,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "95 % interval" in result.output
    assert "fold 2 of 2: none" in result.output
    assert "scheme fp, fold 1 of 2: 1 epochs of 3 steps" in result.stderr
    assert "training" not in result.stdout
    assert (folder / "two" / "cross_validation.json").exists()
    assert "samples it has seen" not in result.output


def test_a_warm_start_that_may_know_the_folds_is_told(folder: Path, validation: Any) -> None:
    from stq_deploy.research.training import train

    train(dataclasses.replace(validation.training, out=folder / "trained"))
    result = invoke(
        "cross-validate", "--folds", 2, "--network", validation.training.network, "--scheme", "fp", "--epochs", 1,
        "--data", folder / "cifar10.npz", "--out", folder / "warm", "--set", "validation_samples=0", "--batch-size", 8,
        "--warm-start", folder / "trained" / "model.h5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "was trained on samples of cifar10, folds test on samples it has seen" in " ".join(result.output.split())
