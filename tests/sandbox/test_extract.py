"""What the HDF5 library and zipfile are shown of hostile files: nothing outside them, and nothing without a bound."""

from __future__ import annotations

import re
import struct
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stq_deploy.sandbox import Contents, Unusable
from tests.helpers.frontend.keras_contents import read_contents
from tests.helpers.model_files import ModelDraft, random, tiny_model


@pytest.fixture
def h5(tmp_path: Path) -> Path:
    return tiny_model().save_h5(tmp_path / "model.h5")


@pytest.fixture
def keras(tmp_path: Path) -> Path:
    return tiny_model().save_keras(tmp_path / "model.keras")


def read(path: Path) -> Contents:
    """Read a file, in no more time and with no more left behind than any file is allowed."""
    before, start = set(path.parent.rglob("*")), time.monotonic()
    try:
        return read_contents(path.read_bytes())
    finally:
        assert time.monotonic() - start < 20  # of a loaded computer; the limit is on processor time
        assert set(path.parent.rglob("*")) == before


def problem(path: Path, array: str) -> str:
    """Why an array of the file cannot be used."""
    found = read(path).arrays[array]
    assert isinstance(found, str)
    return found


def refused(path: Path) -> str:
    with pytest.raises(Unusable) as caught:
        read(path)
    return str(caught.value)


KERNEL = "conv/conv/kernel:0"


def replace_kernel(path: Path, **how: Any) -> Path:
    """Make the convolution's kernel another object."""
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        if "link" in how:
            group["kernel:0"] = how["link"]
        else:
            group.create_dataset("kernel:0", **how)
    return path


def test_the_values_are_those_stored(h5: Path, keras: Path) -> None:
    for path, names in ((h5, (KERNEL, "fc/fc/bias:0")), (keras, ("layers/q_conv2d/vars/0", "layers/q_dense/vars/1"))):
        found = read(path)
        arrays = tiny_model().arrays
        for name, expected in zip(names, (arrays["conv"]["kernel"], arrays["fc"]["bias"]), strict=True):
            array = found.arrays[name]
            assert isinstance(array, np.ndarray)
            assert array.dtype == np.float32
            assert np.array_equal(array, expected)
    assert read(h5).listed["conv"] == ["conv/kernel:0"]


def test_links_out_of_the_file_are_not_followed(h5: Path, tmp_path: Path) -> None:
    secret = ModelDraft(arrays={"secret": {"kernel": random(3, 3, 2, 4)}}).add("InputLayer", "x")
    other = secret.save_h5(tmp_path / "o.h5")
    for link in (
        h5py.ExternalLink(str(other), "/model_weights/secret/secret/kernel:0"),
        h5py.SoftLink("/model_weights/fc/fc/kernel:0"),
    ):
        assert "a link" in problem(replace_kernel(h5, link=link), KERNEL)


def test_groups_behind_links_are_not_entered(h5: Path, keras: Path, tmp_path: Path) -> None:
    with h5py.File(h5, "a") as file:
        del file["model_weights/conv"]
        file["model_weights/conv"] = h5py.SoftLink("/model_weights/fc")
    assert "conv" not in read(h5).listed
    with zipfile.ZipFile(keras) as archive:
        config = archive.read("config.json")
        (tmp_path / "w.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file["layers/linked"] = h5py.SoftLink("/layers/q_conv2d")
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", config)
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    assert not any(path.startswith("layers/linked") for path in read(keras).arrays)


def test_arrays_stored_in_other_files_are_not_read(h5: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.bin"
    raw.write_bytes(random(3, 3, 2, 4).tobytes())
    replace_kernel(h5, shape=(3, 3, 2, 4), dtype="f4", external=[(str(raw), 0, 288)])
    assert "outside the file" in problem(h5, KERNEL)


def test_virtual_arrays_are_not_read(h5: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.h5"
    with h5py.File(source, "w") as file:
        file["x"] = random(3, 3, 2, 4)
    layout = h5py.VirtualLayout((3, 3, 2, 4), "f4")
    layout[:] = h5py.VirtualSource(str(source), "x", (3, 3, 2, 4))
    with h5py.File(h5, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group.create_virtual_dataset("kernel:0", layout)
    assert "outside the file" in problem(h5, KERNEL)


def test_no_filter_plugin_is_loaded(h5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 would load a shared library for a filter it does not know, from where HDF5_PLUGIN_PATH says."""
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    good = random(64, 64)
    replace_kernel(h5, data=good, compression="gzip")
    content = h5.read_bytes()
    # A filter's description in the header: number 1, name length 8, flags, number of values, b"deflate\0".
    old, new = b"\x01\x00\x08\x00\x01\x00\x01\x00deflate", b"\x05\x7d\x08\x00\x01\x00\x01\x00deflate"
    assert content.count(old) == 1
    h5.write_bytes(content.replace(old, new))
    assert "unusual way" in problem(h5, KERNEL)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"shape": (1 << 16, 1 << 16), "chunks": (64, 64), "compression": "gzip"}, "(65536, 65536)"),
        ({"shape": (1 << 40,), "chunks": (1 << 10,)}, "(1099511627776,)"),
        ({"shape": (1 << 62, 1 << 62, 1 << 62), "chunks": (1, 1, 1), "maxshape": (None,) * 3}, "(46116860184273879"),
        ({"shape": (4,), "maxshape": (None,), "chunks": (1 << 28,)}, "(4,), more than"),
    ],
)
def test_huge_arrays_are_refused_before_they_are_read(how: dict[str, Any], what: str, h5: Path) -> None:
    try:
        replace_kernel(h5, dtype="f4", **how)
    except ValueError:
        pytest.skip("this HDF5 library does not write such a file")
    assert what in problem(h5, KERNEL)


def test_many_large_arrays_are_refused_together(tmp_path: Path) -> None:
    """A small file of arrays that are all one value: 40 times 4 MB."""
    names = [f"x/{i}:0" for i in range(40)]
    path = ModelDraft(arrays={"x": {}}).add("InputLayer", "y").save_h5(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/x"]
        group.attrs["weight_names"] = names
        for name in names:
            group.create_dataset(name, (1 << 20,), "f4", chunks=(1 << 18,), compression="gzip", fillvalue=1.0)
    assert "its arrays have more than" in refused(path)


def deflated_zeros(megabytes: int) -> bytes:
    """A stream whose only fault is its checksum, which comes last; made without compressing all of it."""
    packer = zlib.compressobj(9)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (megabytes - 1) + packer.flush()


def test_a_chunk_that_unpacks_to_a_million_times_its_array(h5: Path) -> None:
    replace_kernel(h5, shape=(64,), dtype="f4", chunks=(64,), compression="gzip")
    with h5py.File(h5, "a") as file:
        file["model_weights/conv/conv/kernel:0"].id.write_direct_chunk((0,), deflated_zeros(1200))
    assert re.search("memory|too long", refused(h5))  # on a slow computer its time is up first


def test_zip_bombs_are_not_unpacked(keras: Path) -> None:
    for member, megabytes in (("config.json", 9), ("model.weights.h5", 140)):
        with zipfile.ZipFile(keras, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in {"config.json": b"{}", member: bytes(megabytes << 20)}.items():
                archive.writestr(name, content)
        assert keras.stat().st_size < 1 << 20
        assert f"{member} unpacks to more than" in refused(keras)


def test_members_that_only_keras_would_unpack(keras: Path) -> None:
    """It unpacks all of an archive to disk, if there is more in it than it knows."""
    for members, size in ((3, 90 << 20), (5000, 1)):
        with zipfile.ZipFile(tiny_model().save_keras(keras), "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for i in range(members):
                archive.writestr(f"assets/{i}", bytes(size))
        assert "its members unpack to more" in refused(keras)


def test_member_paths_lead_nowhere(keras: Path) -> None:
    with zipfile.ZipFile(keras, "a") as archive:
        for name in ("../escaped.txt", "/absolute.txt", "a/../../b", "config.json/x", "C:\\x"):
            archive.writestr(name, "x")
    assert read(keras).arrays.keys() == {*read(keras).arrays}
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("./config.json", "{}")
        archive.writestr("/model.weights.h5", "")
    assert "no item named 'config.json'" in refused(keras)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_missing_member(keras: Path, member: str) -> None:
    with zipfile.ZipFile(keras) as archive:
        others = {n: archive.read(n) for n in archive.namelist() if n != member}
    with zipfile.ZipFile(keras, "w") as archive:
        for name, content in others.items():
            archive.writestr(name, content)
    assert member in refused(keras)


def test_encrypted_member(keras: Path) -> None:
    content = bytearray(keras.read_bytes())
    for magic, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(magic)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(magic, at + 4)
    keras.write_bytes(content)
    assert "encrypted" in refused(keras)


def test_hard_links_in_a_circle(keras: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.h5"
    with h5py.File(weights, "w") as file:
        layers = file.create_group("layers")
        for name in "abc":
            layers.create_group(name)["layers"] = layers
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(weights, "model.weights.h5")
    assert "more than the 4096 layers" in refused(keras)


def test_a_crowd_of_groups_and_arrays(h5: Path, keras: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w", libver="latest") as file:
        layers = file.create_group("layers")
        for i in range(5000):
            layers.create_group(str(i))
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    assert "a group has 5000 members" in refused(keras)
    with h5py.File(h5, "a") as file:
        for i in range(9):
            file["model_weights/conv"].attrs[f"weight_names{i}"] = np.array([b"conv/kernel:0"] * 4000)
    assert "lists more than the 8192 names" in refused(h5)


def test_texts_that_share_one_object_of_the_heap(h5: Path) -> None:
    """An attribute of 32 kB that names one text of a megabyte 2000 times: it asks for two gigabytes."""
    with h5py.File(h5, "a") as file:
        file["model_weights/conv"].attrs["weight_names"] = ["y" * (1 << 20), *["z"] * 1999]
    content = h5.read_bytes()
    length, one = struct.pack("<I", 1 << 20), struct.pack("<I", 1)
    at = next(at.start() for at in re.finditer(re.escape(length), content) if content[at.end() + 12 :].startswith(one))
    entry = content[at : at + 16]  # length, address in the heap, index there
    h5.write_bytes(content[:at] + entry * 2000 + content[at + 2000 * 16 :])
    assert re.search("memory|too long", refused(h5))  # on a slow computer its time is up first


@pytest.mark.parametrize("value", [7, 1.5, np.zeros(3), np.array([b"a", b"b"]), h5py.Empty("f4"), b"\xff\xfe"])
def test_configurations_that_are_no_text(value: object, h5: Path) -> None:
    with h5py.File(h5, "a") as file:
        file.attrs["model_config"] = value
    with suppress(Unusable):
        assert isinstance(read(h5).config, str)


def test_references_are_not_followed(h5: Path) -> None:
    with h5py.File(h5, "a") as file:
        region = file["model_weights/fc/fc/kernel:0"].regionref[:2]
        file["model_weights/conv"].attrs["weight_names"] = np.array([file["model_weights/fc"].ref], h5py.ref_dtype)
        file["model_weights/bn"].attrs["weight_names"] = np.array([region], h5py.regionref_dtype)
    listed = read(h5).listed
    assert all("HDF5" in name for layer in ("conv", "bn") for name in listed[layer])
