"""The real data sets, where $STQ_DEPLOY_DATA names a folder of them: read, parted, and taken all the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets import load_dataset
from tests.helpers.command_line import invoke, json_of

FOLDER = os.environ.get("STQ_DEPLOY_DATA", "")


def _file(name: str) -> Path:
    """This file of the folder; skips if it is not there."""
    path = Path(FOLDER, name)
    if not FOLDER or not path.is_file():
        pytest.skip(f"$STQ_DEPLOY_DATA holds no {name}")
    return path


def _digits() -> dict[str, np.ndarray]:
    with np.load(_file("svhn_mini_gray.npz"), allow_pickle=False) as file:
        return {name: file[name] for name in ("x", "y", "split", "x_rgb")}


def test_cifar10_has_every_class_alike() -> None:
    dataset = load_dataset("cifar10", _file("cifar10_gray.npz"))
    assert (dataset.x_train.shape, dataset.x_test.shape) == ((50_000, 32, 32, 1), (10_000, 32, 32, 1))
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10


def test_other_words_are_parted_by_speaker_as_their_publisher_does() -> None:
    path = _file("gsc12_mfcc.npz")
    dataset = load_dataset("speech-commands-other-words", path)
    with np.load(path, allow_pickle=False) as file:
        names, split = file["name"], file["split"]
    assert len(dataset.x_test) == int((split == 2).sum())
    assert len(dataset.x_train) == int((split < 2).sum())
    speakers = [{name.split(b"/")[1].split(b"_")[0] for name in names[chosen]} for chosen in (split < 2, split == 2)]
    assert not speakers[0] & speakers[1]


def test_svhn_digits_come_gray_as_another_program_made_them() -> None:
    from stq_deploy.datasets.gray import pictures_to_gray

    digits = _digits()
    ours = pictures_to_gray(digits["x_rgb"])[..., 0].astype(int)
    assert np.abs(ours - digits["x"]).max() <= 1


@pytest.mark.keras
def test_svhn_digits_go_all_the_way(tmp_path: Path, host_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written as SVHN's MATLAB files, read, trained on for a little, converted, and the same on every executor here."""
    savemat = pytest.importorskip("scipy.io").savemat
    digits = _digits()
    for name, chosen in (("train", digits["split"] != 2), ("test", digits["split"] == 2)):
        labels = digits["y"][chosen]
        pictures = digits["x_rgb"][chosen].transpose(1, 2, 3, 0)
        savemat(tmp_path / f"{name}_32x32.mat", {"X": pictures, "y": np.where(labels == 0, 10, labels)[:, np.newaxis]})
    from_mat = load_dataset("svhn", tmp_path)
    ready_made = load_dataset("svhn-mini", _file("svhn_mini_gray.npz"))
    np.testing.assert_array_equal(from_mat.y_train, ready_made.y_train)
    np.testing.assert_array_equal(from_mat.y_test, ready_made.y_test)

    out = tmp_path / "run"
    arguments: list[Any] = [
        "--recipe",
        "smoke",
        "--set",
        "validation_samples=100",
        "--epochs",
        1,
        "--variant",
        "strided",
    ]
    trained = invoke("train", "--dataset", "svhn", "--data", tmp_path, "--scheme", "stq", "--out", out, *arguments)
    assert trained.exit_code == 0, trained.output
    monkeypatch.setenv("XDG_CACHE_HOME", str(host_cache.parent))  # whose kernels are compiled already
    found = json_of(invoke("verify", "--model", out / "model.h5", "--executors", "numpy,host", "--json"))
    assert found["differing_layers"] == 0
