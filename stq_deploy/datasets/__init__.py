"""Data sets by name: `load_dataset(name, path)` gives a `Dataset` of arrays, checked."""

from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.registry import dataset_names, load_dataset

__all__ = ["Dataset", "dataset_names", "load_dataset"]
