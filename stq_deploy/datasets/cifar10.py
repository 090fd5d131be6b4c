"""CIFAR-10 as gray pictures (A. Krizhevsky, 2009): 50,000 to train on, 10,000 to test on, ten classes."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.datasets.base import Dataset
from stq_deploy.datasets.npz import load_npz
from stq_deploy.errors import StqError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(path: Path | None) -> Dataset:
    """From a prepared .npz."""
    if path is None:
        raise StqError("no path")
    if path.is_dir():
        path = path / "cifar10_gray.npz"
    return load_npz(path, "cifar10", CLASSES)
