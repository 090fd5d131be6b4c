"""Ctrl-C, as a terminal sends it to a command and all its processes: one sentence, exit code 130, nothing halved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.zoo.shipped import shipped_samples
from tests.helpers.model_files import tiny_model

COMMANDS = {
    "convert zoo:stq-cifar10 -o OUT": ("reading the model", "no file was written"),
    "certify zoo:stq-cifar10 --family pixel:any --samples SHIPPED --executor numpy -o OUT": ("proving", "nothing was"),
    "evaluate --model zoo:stq-cifar10 --samples SHIPPED --executor numpy": ("numpy", "nothing is left half done"),
    "verify --executors numpy,host": ("starting the executors", "nothing is left half done"),
    "run --emulated --samples SHIPPED --out OUT": ("generating C", "the same command goes on from there"),
    "attack --model MINE --attack pgd --set max_iter=20000 --samples PICTURES -o OUT": (
        "preparing the model",
        "repeat",
    ),
    "train --recipe smoke --dataset cifar10 --data DATA --out OUT": (
        "training stq",
        "with --resume goes on from there",
    ),
    "cross-validate --recipe smoke --folds 2 --dataset cifar10 --data DATA --out OUT": ("training stq", "goes on from"),
    "robustness MINE --sample-file PICTURES --samples 130 --processes 2 --out OUT": ("in shards", "goes on from there"),
}
"""Command -> words of its progress at which it is interrupted, and what it then says."""


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("interrupted")
    tiny_model().save_h5(folder / "mine.h5")
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (130, 6, 5, 2)).astype(np.uint8)
    save_samples(SampleSet(pictures, np.arange(130) % 3), folder / "pictures.npz")
    x, y = draw.integers(0, 256, (4000, 16, 16)).astype(np.uint8), np.arange(4000) % 10
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])
    names = {"MINE": "mine.h5", "PICTURES": "pictures.npz", "DATA": "data.npz"}
    return {name: folder / file for name, file in names.items()} | {"SHIPPED": shipped_samples()["clean"]}


@pytest.mark.keras
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_is_one_sentence(command: str, files: dict[str, Path], tmp_path: Path) -> None:
    marker, kept = COMMANDS[command]
    words = [str(files.get(word, tmp_path / "out" if word == "OUT" else word)) for word in command.split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "stq_deploy", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, start_new_session=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    watch = threading.Timer(300, process.kill)
    watch.start()
    said = ""
    try:
        assert process.stdout is not None
        while marker not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        os.killpg(process.pid, signal.SIGINT)
        said += process.stdout.read()
        assert process.wait() == 130, said
    finally:
        watch.cancel()
        process.kill()
        process.wait()
    assert said.count("Error: interrupted") == 1 and kept in " ".join(said.split()), said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said, said
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [], left
