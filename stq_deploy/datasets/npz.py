"""A data set in one .npz file: x_train, y_train, x_test, y_test, and optionally class names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.datasets.base import Dataset
from stq_deploy.errors import StqError

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_CLASS_KEYS = ("classes", "class_names")


def load_npz(path: Path, name: str, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Read `path` without ever unpickling (allow_pickle=False).

    x_*: (N, H, W) or (N, H, W, C), uint8 or float; y_*: (N,) whole numbers. Class names come from the file
    ("classes" or "class_names"), else from the argument, else they are the class numbers.
    Raises StqError for a missing, foreign or incomplete file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [part for part in _PARTS if part not in archive.files]
            if missing:
                raise StqError(
                    f"{', '.join(missing)} missing from the data file",
                    where=str(path),
                    cause=f"it holds: {', '.join(archive.files) or 'nothing'}",
                    next=f"the file must hold {', '.join(_PARTS)}",
                )
            arrays = {part: archive[part] for part in _PARTS}
            for key in _CLASS_KEYS:
                if key in archive.files:
                    class_names = tuple(str(item) for item in archive[key])
                    break
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise StqError("cannot read the data file", where=str(path), cause=str(error)) from error
    if class_names is None:
        highest = max((int(arrays[part].max()) for part in ("y_train", "y_test") if arrays[part].size), default=-1)
        class_names = tuple(str(number) for number in range(highest + 1))
    return Dataset(
        name=name,
        source=str(path),
        class_names=class_names,
        x_train=_samples(arrays["x_train"]),
        y_train=_labels(arrays["y_train"], path),
        x_test=_samples(arrays["x_test"]),
        y_test=_labels(arrays["y_test"], path),
    )


def _samples(x: Any) -> Any:
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    return x[..., np.newaxis] if x.ndim == 3 else x


def _labels(y: Any, path: Path) -> Any:
    if y.dtype.kind not in "iu":
        raise StqError(f"labels must be whole numbers, not {y.dtype}", where=str(path))
    return y.reshape(-1).astype(np.int64)
