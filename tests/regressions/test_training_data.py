"""Data that a network or recipe cannot be trained on is an error in words, not an internal one; the rest trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.command_line import invoke

pytestmark = pytest.mark.keras

COUNT = 32


def _stored(path: Path, shape: tuple[int, ...], **changes: Any) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, *shape)).astype(np.uint8)
    labels = np.arange(COUNT) % 4
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels[:8], "y_test": labels[:8]}
    np.savez(path, **(arrays | changes))
    return path


PICTURES = np.zeros((COUNT, 8, 8, 1), np.uint8)
UNFIT: dict[str, tuple[tuple[int, ...], dict[str, Any], list[str], str]] = {
    "6x5 pictures": ((6, 5), {}, [], "6 x 5 pixels"),
    "7x9 pictures": ((7, 9, 1), {}, [], "needs 8 x 8 pixels or more"),
    "1x1 pictures": ((1, 1, 1), {}, [], "--variant strided"),
    "no rows": ((0, 5, 1), {}, [], "they hold nothing"),
    "one axis": ((9,), {}, [], "samples must be (N, H, W, C)"),
    "text": ((8, 8), {"x_train": np.full((COUNT, 8, 8), "a")}, [], "x_train holds <U1, not numbers"),
    "complex numbers": ((8, 8), {"x_train": PICTURES.astype(np.complex64)}, [], "complex64"),
    "labels of too many classes": ((8, 8), {"y_train": np.arange(COUNT)}, [], "but there are 10 classes"),
    "a negative label": ((8, 8), {"y_train": np.full(COUNT, -1)}, [], "run from -1"),
    "labels that are not whole numbers": ((8, 8), {"y_train": np.full(COUNT, 0.5)}, [], "whole numbers"),
    "fewer labels than samples": ((8, 8), {"y_train": np.zeros(3, int)}, [], "not of one length"),
    "a test part of another shape": ((8, 8), {"x_test": np.zeros((8, 9, 9), np.uint8)}, [], "test samples (9, 9, 1)"),
    "no test part": ((8, 8), {"x_test": PICTURES[:0], "y_test": np.zeros(0, int)}, [], "has no test samples"),
    "all held out": ((8, 8), {}, ["--set", "validation_samples=32"], "no training samples left"),
    "a start of another size": ((8, 8), {}, ["--warm-start", "zoo:fp-cifar10", "--scheme", "fp"], "another shape"),
    "NaN": ((8, 8), {"x_train": np.full((COUNT, 8, 8), np.nan)}, [], "NaN"),
}
"""What is stored and asked -> words of the message."""


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_data_is_named(case: str, tmp_path: Path) -> None:
    shape, changes, options, message = UNFIT[case]
    data = _stored(tmp_path / "data.npz", shape, **changes)
    training = ["--dataset", "cifar10", "--data", data, "--recipe", "smoke", "--set", "validation_samples=8"]
    result = invoke("train", *training, *options, "--out", tmp_path / "run")
    assert result.exit_code == 1, result.stderr
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("network", "variant", "shape"),
    [
        ("stq", "pooled", (8, 8, 1)),
        ("stq", "pooled", (8, 9, 3)),
        ("stq", "strided", (6, 5, 1)),
        ("stq", "strided", (1, 1, 1)),
        ("resnet_v1", "pooled", (1, 2, 3)),
        ("ds_cnn", "pooled", (1, 1, 1)),
    ],
)
def test_the_smallest_pictures_train(network: str, variant: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Up to where the first step would run: all of the network and the recipe is made by then."""
    from stq_deploy.research.training import TrainingConfig, UnfinishedRun, train
    from stq_deploy.research.training.recipe import load_recipe

    data = _stored(tmp_path / "data.npz", shape)
    config = TrainingConfig(
        recipe=load_recipe("smoke", {"validation_samples": 8}), out=tmp_path / "run", network=network,
        variant=variant, scheme="stq", dataset="cifar10", data=data, test_limit=None, seed=0,
    )  # fmt: skip
    assert train(config, stop_after=0) == UnfinishedRun(0)
    # As Ctrl-C before the first epoch's end advises.
    assert train(config, stop_after=0, resume=True) == UnfinishedRun(0)


def test_more_folds_than_samples(tmp_path: Path) -> None:
    data = _stored(tmp_path / "data.npz", (8, 8))
    training = ["--dataset", "cifar10", "--data", data, "--recipe", "smoke", "--folds", str(2 * COUNT)]
    result = invoke("cross-validate", *training, "--out", tmp_path / "run")
    assert result.exit_code == 1, result.stderr
    assert f"cannot be split into {2 * COUNT} folds" in result.stderr
