"""Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017; MIT license): 60,000 pictures for training, 10,000 for testing.

They are gray and 28x28, and stay so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.idx_file import read_idx
from stq_deploy.datasets.source import DataSource, PublicFile, SourceForm

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIDE = 28
_SERVER = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"


def _file(name: str, size: int, *digests: str) -> PublicFile:
    return PublicFile(name, f"{_SERVER}/{name}", size, digests[0], digests[1:])


# Sizes and first digests: TensorFlow Datasets (url_checksums/fashion_mnist.txt). Then those of Debian's files, which
# are the same gzip streams without name and date in their header, and of the content.
FILES = (
    _file(
        "train-images-idx3-ubyte.gz", 26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    _file(
        "train-labels-idx1-ubyte.gz", 29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    _file(
        "t10k-images-idx3-ubyte.gz", 4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    _file(
        "t10k-labels-idx1-ubyte.gz", 5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)  # fmt: skip


def _read(paths: tuple[Path, ...]) -> Dataset:
    x_train, y_train = _part(paths[0], paths[1])
    x_test, y_test = _part(paths[2], paths[3])
    return Dataset("fashion-mnist", str(paths[0].parent), CLASSES, x_train, y_train, x_test, y_test)


def _part(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    x, y = read_idx(images), read_idx(labels)
    if x.shape[1:] != (SIDE, SIDE) or y.shape != x.shape[:1]:
        raise StqError(
            f"these are not {SIDE}x{SIDE} pictures with one label each: shapes {x.shape} and {y.shape}",
            where=str(images),
            cause=f"this file or {labels.name} is of another data set",
        )
    return x[..., np.newaxis], y.astype(np.int64)


FASHION_MNIST = DataSource(
    name="fashion-mnist",
    title="Fashion-MNIST",
    classes=CLASSES,
    forms=(
        SourceForm(tuple(file.name for file in FILES), _read),
        SourceForm(tuple(file.name.removesuffix(".gz") for file in FILES), _read),
    ),
    public=FILES,
    installed=(Path("/usr/share/datasets/fashion-mnist"),),
    advice="on Debian: apt-get install dataset-fashion-mnist",
)
