"""The official "CIFAR-10 python version" archive: a .tar.gz of pickled batches."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import safe_pickle
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.gray import pictures_to_gray

_FOLDER = "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = ("test_batch",)
_PIXELS = 32 * 32
_MAXIMUM_BATCH_BYTES = 64 << 20  # a batch has about 31 MB

ArchivePart = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_archive(path: Path, class_names: tuple[str, ...]) -> Dataset:
    """Read the archive `path` in memory, without unpacking it and without running code of a pickle.

    Pictures become gray bytes (N, 32, 32, 1). Raises StqError for a missing, damaged or foreign archive.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            x_train, y_train = _parts(archive, _TRAIN)
            x_test, y_test = _parts(archive, _TEST)
    except (
        OSError,
        EOFError,
        tarfile.TarError,
        pickle.UnpicklingError,
        KeyError,
        ValueError,
        TypeError,
    ) as error:
        raise StqError(
            "cannot read the CIFAR-10 archive",
            where=str(path),
            cause=f"it is damaged, or not the Python version of the archive ({error})",
            next="fetch cifar-10-python.tar.gz again",
        ) from error
    return Dataset("cifar10", str(path), class_names, x_train, y_train, x_test, y_test)


def _parts(archive: tarfile.TarFile, names: tuple[str, ...]) -> ArchivePart:
    parts = [_batch(archive, f"{_FOLDER}/{name}") for name in names]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _batch(archive: tarfile.TarFile, name: str) -> ArchivePart:
    """One batch: b"data" is (N, 3072) bytes, all red, then all green, then all blue; b"labels" a list."""
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    packed = file.read(_MAXIMUM_BATCH_BYTES + 1)
    if len(packed) > _MAXIMUM_BATCH_BYTES:
        raise ValueError(f"{name} has more than {_MAXIMUM_BATCH_BYTES} bytes")
    content: dict[bytes, Any] = safe_pickle.loads(packed)
    data, labels = content[b"data"], content[b"labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), 3 * _PIXELS):
        raise ValueError(f"{name} holds no pictures of 32 x 32 x 3 bytes")
    rgb = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pictures_to_gray(rgb), np.asarray(labels, np.int64)
