"""Samples of a command: from a data set, or from a sample file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stq_deploy.common.errors import StqError

if TYPE_CHECKING:
    from stq_deploy.datasets.samples import SampleSet


def chosen_samples(
    dataset: str | None, data: Path | None, samples: Path | None, limit: int | None
) -> tuple[str, SampleSet]:
    """The samples of --dataset, --data, --samples and --limit, and a name for them.

    Raises:
        StqError: neither or both of --dataset and --samples are given, or they cannot be read.
    """
    from stq_deploy.common.untrusted_json import writable
    from stq_deploy.datasets.samples import load_samples, samples_of_dataset

    if samples is not None and dataset is None:
        return writable(samples.name), load_samples(samples).first(limit)
    if dataset is not None and samples is None:
        return dataset, samples_of_dataset(dataset, data, limit)
    raise StqError("which samples?", next="give either --dataset cifar10 or --samples FILE.npz")
