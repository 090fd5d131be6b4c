"""Which data sets there are, and where each is looked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from stq_deploy.datasets.base import Dataset
from stq_deploy.datasets.cifar10 import load_cifar10
from stq_deploy.errors import StqError

DATA_VARIABLE = "STQ_DEPLOY_DATA"

# A loader takes an explicit file or folder, or None for its public source.
Loader = Callable[[Path | None], Dataset]
_LOADERS: dict[str, Loader] = {"cifar10": load_cifar10}


def dataset_names() -> tuple[str, ...]:
    """The names `load_dataset` knows."""
    return tuple(_LOADERS)


def load_dataset(name: str, path: str | Path | None = None) -> Dataset:
    """The data set `name` from `path` (a file or folder), else from $STQ_DEPLOY_DATA, else its public source.

    Raises StqError for an unknown name or data that cannot be found, fetched or read.
    """
    loader = _LOADERS.get(name)
    if loader is None:
        raise StqError(f"unknown data set {name!r}", next=f"choose one of: {', '.join(_LOADERS)}")
    if path is None:
        path = os.environ.get(DATA_VARIABLE) or None
    return loader(None if path is None else Path(path))
