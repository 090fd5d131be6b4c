"""A Keras file made small: the same content, the same bytes at any time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from stq_deploy.training.compact_h5 import compact_bytes  # noqa: E402


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twenty groups of a large, a small, an empty and a scalar array each, with attributes."""
    path = tmp_path / "model.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["config"] = "x" * 5000
        for number in range(20):
            group = file.create_group(f"layer {number}/weights")
            group.attrs["names"] = np.array([b"kernel:0", b"bias:0"])
            group["kernel"] = rng.choice(np.float32([-0.5, 0, 0.5]), (9, 30))
            group["bias"] = rng.normal(size=3)
            group["nothing"] = np.zeros((0, 4), np.float32)
            group["scalar"] = np.int64(number)
            group["bias"].attrs["unit"] = "none"
    return path


def _content(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}

    def visit(name: str, item: object) -> None:
        attributes = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}  # type: ignore[attr-defined]
        values = (item.dtype.str, item.shape, item[()].tolist()) if isinstance(item, h5py.Dataset) else None
        found[name] = (attributes, values)

    with h5py.File(path, "r") as file:
        visit("/", file)
        file.visititems(visit)
    return found


def test_holds_all_and_is_much_smaller(source: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.h5"
    small.write_bytes(compact_bytes(source))
    assert _content(small) == _content(source)
    assert len(_content(small)) == 1 + 20 * 6
    assert small.stat().st_size < source.stat().st_size / 2


def test_is_the_same_at_another_time(source: Path) -> None:
    """HDF5's clock counts seconds."""
    first = compact_bytes(source)
    time.sleep(1.1)
    assert compact_bytes(source) == first
