"""CIFAR-10 as gray pictures (A. Krizhevsky, 2009): 50,000 to train on, 10,000 to test on, ten classes."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.datasets.base import Dataset
from stq_deploy.datasets.cifar10_archive import load_archive
from stq_deploy.datasets.fetch import fetch
from stq_deploy.datasets.npz import load_npz
from stq_deploy.errors import StqError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"

# What is looked for in a folder, in this order.
_FILES = ("cifar10_gray.npz", "cifar10.npz", "cifar-10-python.tar.gz")


def load_cifar10(path: Path | None) -> Dataset:
    """From an .npz, the official archive, or a folder that holds one; with None, from the public archive.

    Raises StqError saying what to fetch by hand if there is nothing to read.
    """
    if path is None:
        return load_archive(fetch(ADDRESS, MD5), CLASSES)
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise StqError("no such data file", where=str(path), next=f"fetch {ADDRESS}, or leave the path out")
    return load_npz(path, "cifar10", CLASSES) if path.suffix == ".npz" else load_archive(path, CLASSES)


def _in_folder(folder: Path) -> Path:
    for name in _FILES:
        if (folder / name).is_file():
            return folder / name
    raise StqError(
        "no CIFAR-10 data in the folder",
        where=str(folder),
        cause=f"looked for {', '.join(_FILES)}",
        next=f"fetch {ADDRESS} into it",
    )
