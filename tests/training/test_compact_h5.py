"""A Keras file made small: the same content, the same bytes at any time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

h5py = pytest.importorskip("h5py")

from stq_deploy.research.training.compact_h5 import compact_bytes  # noqa: E402


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


def _kernel(levels: int, empty: float, shape: tuple[int, int] = (512, 64)) -> NDArray[np.float32]:
    """Uniform values, `levels` of them a column with a scale of its own; a share of the columns is all 0."""
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.01, 1, shape[1]) * (rng.random(shape[1]) >= empty)
    values: NDArray[np.float32] = np.float32(rng.integers(-levels // 2, levels // 2 + 1, shape) * scale)
    return values


@pytest.mark.parametrize(
    ("levels", "empty", "chunks", "shuffled"),
    [
        (10**9, 0.0, (512, 64), True),  # floating point: signs and exponents together
        (2, 0.0, (512, 1), False),  # ternary: a channel has three values
        (256, 0.9, (512, 1), True),  # most units have died
    ],
)
def test_takes_the_smallest_way(
    tmp_path: Path, levels: int, empty: float, chunks: tuple[int, int], shuffled: bool
) -> None:
    path, small = tmp_path / "model.h5", tmp_path / "small.h5"
    with h5py.File(path, "w") as file:
        file["kernel"] = _kernel(levels, empty)
    small.write_bytes(compact_bytes(path))
    with h5py.File(small, "r") as file:
        assert (file["kernel"].chunks, file["kernel"].shuffle) == (chunks, shuffled)
        np.testing.assert_array_equal(file["kernel"][()], _kernel(levels, empty))


def test_is_the_same_at_another_time(source: Path) -> None:
    """HDF5's clock counts seconds."""
    first = compact_bytes(source)
    time.sleep(1.1)
    assert compact_bytes(source) == first
