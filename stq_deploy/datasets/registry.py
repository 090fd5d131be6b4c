"""The data sets."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.common.errors import no_such
from stq_deploy.datasets import locate
from stq_deploy.datasets.cifar10 import CIFAR10
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.fashion_mnist import FASHION_MNIST
from stq_deploy.datasets.source import DataSource
from stq_deploy.datasets.speech_commands import SPEECH_COMMANDS, SPEECH_COMMANDS_OFFICIAL
from stq_deploy.datasets.speech_other_words import SPEECH_OTHER_WORDS
from stq_deploy.datasets.svhn import SVHN
from stq_deploy.datasets.svhn_mini import SVHN_MINI

SOURCES: dict[str, DataSource] = {
    source.name: source
    for source in (
        CIFAR10,
        SVHN,
        SVHN_MINI,
        FASHION_MNIST,
        SPEECH_COMMANDS,
        SPEECH_COMMANDS_OFFICIAL,
        SPEECH_OTHER_WORDS,
    )
}
"""Every data set by its name for `--dataset`."""


def dataset_names() -> tuple[str, ...]:
    """The names that `load_dataset` accepts."""
    return tuple(SOURCES)


def load_dataset(name: str, path: str | Path | None = None) -> Dataset:
    """The data set `name` from `path` (a file or folder), else from the place that `locate.load` finds.

    Raises StqError for an unknown name or data that cannot be found, fetched or read.
    """
    source = SOURCES.get(name)
    if source is None:
        raise no_such(f"unknown data set {name!r}", name, SOURCES)
    return locate.load(source, None if path is None else Path(path))
