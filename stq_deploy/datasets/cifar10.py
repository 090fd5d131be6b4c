"""CIFAR-10 as gray pictures (A. Krizhevsky, 2009): 50,000 for training, 10,000 for testing, ten classes."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.datasets.cifar10_archive import load_archive
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.source import DataSource, PublicFile, SourceForm

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Size of the publisher's page; SHA-256 as in Keras's own loader (keras.datasets.cifar10).
ARCHIVE = PublicFile(
    name="cifar-10-python.tar.gz",
    address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    size=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)


def _read(paths: tuple[Path, ...]) -> Dataset:
    return load_archive(paths[0], CLASSES)


CIFAR10 = DataSource(
    name="cifar10",
    title="CIFAR-10",
    classes=CLASSES,
    prepared=("cifar10_gray.npz", "cifar10.npz"),
    forms=(SourceForm((ARCHIVE.name,), _read),),
    public=(ARCHIVE,),
)
