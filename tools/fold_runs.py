"""The cross validations of Table V, as `stq-deploy cross-validate` commands with trainings short enough to be run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ATTACKS = ("fgsm", "pgd", "square")
_PICTURES = ("--recipe", "fp", "--set", "train_limit=15000", "--epochs", "12")
_SOUND = ("--recipe", "fp-speech", "--epochs", "20")
_NETWORKS = {
    "cifar10-stq": ("cifar10", "stq", "stq", _PICTURES),
    "cifar10-resnet": ("cifar10", "resnet_v1", "fp", _PICTURES),
    "svhn-stq": ("svhn", "stq", "stq", _PICTURES),
    "svhn-resnet": ("svhn", "resnet_v1", "fp", _PICTURES),
    "fashion-mnist-stq": ("fashion-mnist", "stq", "stq", _PICTURES),
    "speech-commands-stq": ("speech-commands", "stq", "stq", _SOUND),
    "speech-commands-ds-cnn": ("speech-commands", "ds_cnn", "fp", _SOUND),
    "other-words-stq": ("speech-commands-other-words", "stq", "stq", _SOUND),
    "other-words-ds-cnn": ("speech-commands-other-words", "ds_cnn", "fp", _SOUND),
}
"""Name -> data set, network, scheme, how it is trained."""


def commands(folder: Path, data: Path | None, only: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """(name, arguments of stq-deploy), in the order of the table. Networks of our own are strided."""
    for name, (dataset, network, scheme, training) in _NETWORKS.items():
        if only and name not in only:
            continue
        given = ["cross-validate", "--folds", "10", *training, "--network", network, "--scheme", scheme]
        given += ["--variant", "strided"] if network == "stq" else []
        given += ["--dataset", dataset, "--attack-samples", "100", "--out", str(folder / name)]
        for attack in _ATTACKS if training is _PICTURES else ():  # their budgets are of pixels
            given += ["--attack", attack]
        yield name, given + ([] if data is None else ["--data", str(data)])


def run(command: list[str]) -> None:
    """Run the command; finished folds are skipped.

    Raises:
        subprocess.CalledProcessError: it failed; its messages are on stderr.
    """
    subprocess.run([sys.executable, "-m", "stq_deploy", *command], check=True)
