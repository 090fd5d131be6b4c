"""SVHN, cropped digits, as gray pictures (Y. Netzer et al., 2011): 73,257 for training, 26,032 for testing.

Its use is free for non-commercial purposes only. The further 531,131 `extra` pictures are not used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.gray import pictures_to_gray
from stq_deploy.datasets.mat_file import read_mat
from stq_deploy.datasets.source import DataSource, PublicFile, SourceForm

CLASSES = tuple("0123456789")

# Sizes and digests: TensorFlow Datasets (url_checksums/svhn_cropped.txt).
TRAIN = PublicFile(
    name="train_32x32.mat",
    address="http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
    size=182_040_794,
    sha256="435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
)
TEST = PublicFile(
    name="test_32x32.mat",
    address="http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
    size=64_275_384,
    sha256="cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
)


def _read(paths: tuple[Path, ...]) -> Dataset:
    (x_train, y_train), (x_test, y_test) = _part(paths[0]), _part(paths[1])
    return Dataset("svhn", str(paths[0].parent), CLASSES, x_train, y_train, x_test, y_test)


def _part(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """From X (32, 32, 3, N), bytes, and y, N numbers: gray pictures (N, 32, 32, 1) and digits (N,).

    In the file the digit 0 has the label 10.
    """
    arrays = read_mat(path, ("X", "y"))
    missing = [name for name in ("X", "y") if name not in arrays]
    if missing:
        raise _foreign(path, f"it has no array of numbers called {' and '.join(missing)}")
    x, y = arrays["X"], arrays["y"].reshape(-1)
    if x.ndim != 4 or x.shape[:3] != (32, 32, 3) or x.dtype != np.uint8:
        raise _foreign(path, f"X has shape {x.shape} and type {x.dtype}, not (32, 32, 3, N) and uint8")
    if len(y) != x.shape[3] or not np.isin(y, np.arange(1, 11)).all():
        raise _foreign(path, f"y is not a label from 1 to 10 for each of {x.shape[3]} pictures")
    return pictures_to_gray(np.moveaxis(x, 3, 0)), y.astype(np.int64) % 10


def _foreign(path: Path, why: str) -> StqError:
    return StqError("this is not a file of SVHN's cropped digits", where=str(path), cause=why, next="fetch it again")


SVHN = DataSource(
    name="svhn",
    title="SVHN (cropped digits)",
    classes=CLASSES,
    forms=(SourceForm((TRAIN.name, TEST.name), _read),),
    public=(TRAIN, TEST),
)
