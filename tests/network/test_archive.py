"""The .stq file: round trip, determinism, and every way a file can be bad."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.codegen import generate
from stq_deploy.common.errors import StqError
from stq_deploy.network import Network, TensorType, archive, load_network, save_network
from stq_deploy.network.ops import Dense
from stq_deploy.network.reference import run
from stq_deploy.network.requantize import MultiplierRequantize
from stq_deploy.program import plan_network
from tests.helpers.networks import random_levels, random_network


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_network(random_network(3), tmp_path / "net.stq")
    return tmp_path / "net.stq"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)


def edit(path: Path, change: Any) -> None:
    contents = members(path)
    document = json.loads(contents["network.json"])
    change(document)
    rewrite(path, contents | {"network.json": json.dumps(document).encode()})


def refused(path: Path) -> StqError:
    with pytest.raises(StqError) as caught:
        load_network(path)
    assert str(path) in caught.value.where
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize("seed", range(8))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    network = random_network(seed)
    save_network(network, tmp_path / "a.stq")
    loaded = load_network(tmp_path / "a.stq")
    assert loaded == network and hash(loaded) == hash(network)
    assert loaded.sha256() == network.sha256()
    assert loaded.metadata == network.metadata
    assert [op.sources for op in loaded.ops] == [op.sources for op in network.ops]
    levels = random_levels(network, 4)
    assert np.array_equal(run(network, levels), run(loaded, levels))
    save_network(loaded, tmp_path / "b.stq")
    assert (tmp_path / "a.stq").read_bytes() == (tmp_path / "b.stq").read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.stq", tmp_path / "b.stq"] or len(list(tmp_path.iterdir())) == 2


def test_networks_are_equal_that_compute_and_say_the_same() -> None:
    network, other = random_network(3), random_network(4)
    assert network == random_network(3) and network not in (other, "network")
    assert network != replace(network, metadata=replace(network.metadata, converter="x"))
    assert network != replace(network, input_range=(-1.0, 1.0))
    index, op = next((i, op) for i, op in enumerate(network.ops) if hasattr(op, "weights"))
    changed = op.weights.copy()
    changed.flat[0] = 0 if changed.flat[0] else 1
    ops = (*network.ops[:index], replace(op, weights=changed), *network.ops[index + 1 :])
    assert network != replace(network, ops=ops)


def test_the_input_range_is_kept_and_part_of_the_hash(tmp_path: Path) -> None:
    plain = random_network(3)
    mapped = replace(plain, input_range=(-1.0, 1.0))
    save_network(mapped, tmp_path / "net.stq")
    loaded = load_network(tmp_path / "net.stq")
    assert loaded.input_range == (-1.0, 1.0)
    assert loaded.sha256() == mapped.sha256() != plain.sha256()
    for wrong in ([1, 0], [0], [0, "1"], "01", [0, 1e999]):
        edit(tmp_path / "net.stq", lambda d, wrong=wrong: d.update(input_range=wrong))
        refused(tmp_path / "net.stq")


def test_model_hash_covers_what_is_computed_and_not_the_metadata(path: Path) -> None:
    before = load_network(path).sha256()
    edit(path, lambda d: d["metadata"].update(note="x"))
    assert load_network(path).sha256() == before
    contents = members(path)
    name = next(n for n in contents if n.endswith(".weights.npy"))
    contents[name] = contents[name][:-1] + bytes([contents[name][-1] ^ 1])
    rewrite(path, contents)
    assert load_network(path).sha256() != before


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_truncated(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert ("not a usable .stq network" if share else "an empty file") in refused(path).what


def test_flipped_bytes_never_escape_as_other_errors(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in np.random.default_rng(0).integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[at] ^= 0x5A
        path.write_bytes(damaged)
        try:
            load_network(path)
        except StqError as error:
            assert error.next  # a flip in a date, say, changes nothing


def test_absent_folder_and_foreign(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.stq").what
    with pytest.raises(StqError):
        load_network(tmp_path)
    (tmp_path / "text.stq").write_text("hello")
    assert "not a usable" in refused(tmp_path / "text.stq").what
    rewrite(tmp_path / "other.stq", {"a.txt": b""})
    assert "not a usable" in refused(tmp_path / "other.stq").what


def test_another_version_says_so(path: Path) -> None:
    edit(path, lambda d: d.update(version=99))
    assert "format version 99, this stq-deploy reads versions 1 to 2" in refused(path).what


def _op(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(op for op in document["ops"] if op["kind"] == kind)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="other"),
        lambda d: d.pop("tensors"),
        lambda d: d.update(tensors=[]),
        lambda d: d.update(ops={}),
        lambda d: d.update(ops=[7]),
        lambda d: d.update(input=7),
        lambda d: d.update(input="ghost"),
        lambda d: d.update(outputs=["ghost"]),
        lambda d: d.update(metadata=[]),
        lambda d: next(iter(d["tensors"].values())).update(shape=[2**40]),
        lambda d: next(iter(d["tensors"].values())).update(shape=[]),
        lambda d: next(iter(d["tensors"].values())).update(shape=[2.0, 2, 2]),
        lambda d: next(iter(d["tensors"].values())).update(dtype="object"),
        lambda d: next(iter(d["tensors"].values())).update(scale=0),
        lambda d: next(iter(d["tensors"].values())).update(scale="1"),
        lambda d: next(iter(d["tensors"].values())).update(minimum=-1000),
        lambda d: next(iter(d["tensors"].values())).update(maximum=True),
        lambda d: d["tensors"].update(unused=next(iter(d["tensors"].values()))),
        lambda d: d["ops"][0].update(kind="__class__"),
        lambda d: d["ops"][0].update(name=["x"]),
        lambda d: d["ops"][0].update(name="x" * 2000),
        lambda d: d["ops"][0].update(inputs="image"),
        lambda d: d["ops"][0].pop("output"),
        lambda d: _op(d, "dense").update(weight_bits=3),
        lambda d: _op(d, "dense").update(weights=7),
        lambda d: _op(d, "dense")["weights"].update(array="../../etc/passwd"),
        lambda d: _op(d, "dense")["weights"].update(array="network.json"),
        lambda d: _op(d, "dense")["weights"].update(dtype="|O"),
        lambda d: _op(d, "dense")["weights"].update(dtype="<i8"),
        lambda d: _op(d, "dense")["weights"].update(shape=[2**30, 2**30]),
        lambda d: _op(d, "dense")["weights"].update(shape=[-1, -1]),
        lambda d: _op(d, "dense")["requantize"].update(kind="other"),
        lambda d: _op(d, "dense").pop("requantize"),
    ],
)
def test_edited_document(path: Path, change: Any) -> None:
    edit(path, change)
    refused(path)


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"format":"stq-network","version":1}']
)
def test_document_that_is_none(path: Path, text: bytes) -> None:
    rewrite(path, members(path) | {"network.json": text})
    refused(path)


def test_pickled_array_is_not_unpickled(path: Path) -> None:
    contents = members(path)
    name = next(n for n in contents if n.endswith(".weights.npy"))
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    rewrite(path, contents | {name: buffer.getvalue()})
    refused(path)


@pytest.mark.parametrize(
    "header", ["(" * 4000, "{'descr': '|i1', 'fortran_order': False, 'shape': (400000000000,), }", "print()"]
)
def test_a_header_that_claims_anything(path: Path, header: str) -> None:
    contents = members(path)
    name = next(n for n in contents if n.endswith(".weights.npy"))
    text = header.encode()
    rewrite(path, contents | {name: b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64})
    refused(path)


def test_one_large_array_is_not_used_again_and_again(path: Path) -> None:
    document = json.loads(members(path)["network.json"])
    dense = _op(document, "dense")
    edit(path, lambda d: d["ops"].extend(dense | {"name": f"again{i}"} for i in range(3)))
    assert "is used twice" in refused(path).what


@pytest.mark.parametrize("place", ["name", "tensor", "source", "metadata"])
def test_half_a_character_in_a_name(path: Path, place: str) -> None:
    def change(document: dict[str, Any]) -> None:
        if place == "metadata":
            document["metadata"]["name"] = "\ud800"
        elif place == "tensor":
            document["tensors"]["\udfff"] = next(iter(document["tensors"].values()))
        else:
            document["ops"][0].update({"name": "a\ud800b"} if place == "name" else {"sources": ["\udc80"]})

    edit(path, change)
    refused(path)


NUMBERS = (-1, 0, 1, 2**15, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**63, 2**70, -(2**70), 0.5, 1e300, 1e-320, -1e300)


@pytest.mark.parametrize("seed", range(4))
def test_any_number_is_refused_or_becomes_c(seed: int, tmp_path: Path) -> None:
    """Each number of the document, one at a time: what passes the checks on loading has to be what C can say."""
    path = tmp_path / "net.stq"
    save_network(random_network(seed), path)
    contents = members(path)
    places = list(_numbers(json.loads(contents["network.json"])))
    rng = np.random.default_rng(seed)
    accepted = 0
    for _ in range(60):
        document = json.loads(contents["network.json"])
        keys = places[rng.integers(len(places))]
        at = document
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = NUMBERS[rng.integers(len(NUMBERS))]
        rewrite(path, contents | {"network.json": json.dumps(document).encode()})
        try:
            network = load_network(path)
        except StqError:
            continue
        accepted += 1
        with suppress(StqError):  # more memory than any target has
            generate(plan_network(network), tmp_path / "c", command="test", tool_version="0")
    assert accepted


def _numbers(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all numbers that decide something."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in ("metadata", "version"):
                yield from _numbers(item, (*keys, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield keys


def test_missing_array(path: Path) -> None:
    contents = members(path)
    del contents[next(n for n in contents if n.endswith(".npy"))]
    rewrite(path, contents)
    refused(path)


def test_size_limits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAXIMUM_FILE_BYTES", 100)
    assert "more than the 100 bytes allowed" in refused(path).what
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MAXIMUM_MEMBERS", 1)
    assert "unpack to more" in refused(path).what
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MAXIMUM_DOCUMENT_BYTES", 1 << 16)
    rewrite(path, members(path) | {"network.json": b" " * (32 << 20)})
    assert path.stat().st_size < 1 << 20
    assert "larger than allowed" in refused(path).what


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="cannot write"):
        save_network(random_network(0), tmp_path / "absent" / "net.stq")
    (tmp_path / "folder.stq").mkdir()
    with pytest.raises(StqError, match="cannot write"):
        save_network(random_network(0), tmp_path / "folder.stq")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.stq"]


def test_packed_weights_of_more_than_a_thousand_ops(tmp_path: Path) -> None:
    """Array names count ops with three digits, and with four from the thousandth on."""
    tensors = {"t0": TensorType((2,), "int8", -3, 3, 1.0)}
    ops = []
    for i in range(1002):
        requantize = MultiplierRequantize(np.full(2, 2**30, np.int32), np.zeros(2, np.int32), 0, 0, -3, 3)
        weights = np.array([[1, -1], [0, 1]], np.int8)
        bits = 2 if i >= 1000 else 8
        ops.append(Dense(f"t{i + 1}", (f"t{i}",), f"t{i + 1}", (), weights, bits, requantize))
        tensors[f"t{i + 1}"] = TensorType((2,), "int8", -3, 3, 1.0)
    network = Network(tensors, tuple(ops), "t0", ("t1002",))
    save_network(network, tmp_path / "long.stq")
    assert load_network(tmp_path / "long.stq").sha256() == network.sha256()
