"""Shipped archives: the same numbers, the same bytes at any time, small, and readable by Keras and by our reader."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.frontend.model_file import open_model_file
from stq_deploy.research.training.compact_h5 import compact_bytes
from stq_deploy.research.training.packed_archive import packed_bytes
from tests.helpers.frontend.keras_contents import read_contents

pytestmark = pytest.mark.keras


def _saved(folder: Path, ending: str) -> tuple[Any, Path]:
    """A model with a ternary kernel of a scale for each channel, and one in floating point."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Dense(96, input_shape=(200,), name="few"), layers.Dense(64, name="many")])
    random = np.random.default_rng(0)
    few = random.choice([-1.0, 0.0, 0.0, 1.0], (200, 96)) * random.uniform(0.1, 1, 96)
    model.set_weights([few, random.normal(size=96), random.normal(size=(96, 64)), random.normal(size=64)])
    path = folder / f"model{ending}"
    model.save(path)
    return model, path


def test_the_numbers_stay_and_keras_opens_it(tmp_path: Path) -> None:
    import tf_keras

    model, path = _saved(tmp_path, ".keras")
    small = tmp_path / "small.keras"
    small.write_bytes(packed_bytes(path))
    for before, after in zip(model.get_weights(), tf_keras.models.load_model(small).get_weights(), strict=True):
        assert before.tobytes() == after.tobytes()
    former, ours = read_contents(path.read_bytes()), read_contents(small.read_bytes())
    assert former.config == ours.config and former.arrays.keys() == ours.arrays.keys()
    for name, array in former.arrays.items():
        np.testing.assert_array_equal(array, ours.arrays[name])
    with zipfile.ZipFile(small) as archive:
        assert archive.testzip() is None
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_LZMA}
        assert json.loads(archive.read("metadata.json")).keys() == {"keras_version"}


def test_it_is_smaller_than_deflated_arrays(tmp_path: Path) -> None:
    _, h5 = _saved(tmp_path, ".h5")
    _, path = _saved(tmp_path, ".keras")
    assert len(packed_bytes(path)) < 0.85 * len(compact_bytes(h5))


def test_it_is_the_same_at_another_time(tmp_path: Path) -> None:
    _, path = _saved(tmp_path, ".keras")
    first = packed_bytes(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps(
        json.loads(members["metadata.json"]) | {"date_saved": "2001-01-01@00:00:00"}
    ).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name in reversed(members):
            archive.writestr(name, members[name])
    assert packed_bytes(path) == first


@pytest.mark.parametrize("damage", ["cut", "bit", "dictionary"])
def test_a_damaged_one_is_an_error_in_words(damage: str, tmp_path: Path) -> None:
    from stq_deploy.common.errors import StqError

    _, path = _saved(tmp_path, ".keras")
    content = bytearray(packed_bytes(path))
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "bit":
        content[len(content) // 2] ^= 0x10
    else:  # the first member's properties ask for 4 GiB of memory
        at = content.index(b"config.json") + len(b"config.json") + 5
        content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(content))
    with pytest.raises(StqError, match=r"damaged|cannot be read|more memory|not a"):
        open_model_file(path)


def test_a_shipped_h5_becomes_an_archive_of_the_same_numbers(tmp_path: Path) -> None:
    from stq_deploy.common.errors import StqError
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training.pretrained import repack
    from stq_deploy.zoo.shipped import ShippedModel, shipped_models

    model, path = _saved(tmp_path, ".h5")
    any_record = next(iter(shipped_models().values())).record
    file = dataclasses.replace(any_record.model, file="model.h5", sha256="x", bytes=1, test_right=7)
    former = ShippedModel("model", dataclasses.replace(any_record, model=file), tmp_path)
    assert former.keras == path
    record = repack(former)
    shipped = ShippedModel("model", record, tmp_path)
    assert not path.exists() and shipped.keras == tmp_path / "model.keras"
    assert record.to_json() == json.loads((tmp_path / "model.json").read_text())
    content = shipped.keras.read_bytes()
    assert (record.model.sha256, record.model.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert record.model.test_right == 7
    for before, after in zip(model.get_weights(), read_keras_model(str(shipped.keras)).get_weights(), strict=True):
        assert before.tobytes() == after.tobytes()
    with pytest.raises(StqError, match="an archive already"):
        repack(shipped)
