"""build.json and manifest.json that nobody vouches for: read whole and typed, or refused by the place that is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stq_deploy.errors import StqError
from stq_deploy.evaluation.checked_json import LARGEST_COUNT, Checked
from stq_deploy.evaluation.firmware import _read_build
from stq_deploy.toolchain.build import ELF, MANIFEST
from stq_deploy.toolchain.build_folder import REPORT

BUILD: dict[str, Any] = {
    "format": "stq-build", "version": 1, "board": "stm32h743", "model_hash": "ab", "build_id": "00ff",
    "compiler": {"version": "gcc 12"}, "flash_bytes": 100, "ram_bytes": 50, "stack_bytes": 20, "files": {},
    "size_figures": {"qstats_bytes": 10, "packed_bytes": 9},
    "memories": [{"name": "flash", "used_bytes": 100, "bytes": 1000, "sections": {".text": 60, ".rodata": 40}}],
    "placement": [
        {"group": "arena", "part": "activations", "memory": "dtcm", "bytes": 8, "accesses": 7, "reason": "hot"}
    ],
}  # fmt: skip
PLAN: dict[str, Any] = {
    "arena_bytes": 8, "arena_lower_bound_bytes": 8, "order_lower_bound_bytes": 8,
    "layers": [{"name": "dense", "output": "y", "replaces": None, "scratch_bytes": 4}],
    "tensors": {"x": {"arena_offset": 0, "bytes": 4, "first_layer": -1, "last_layer": 0, "view_of": []},
                "y": {"arena_offset": 4, "bytes": 4, "first_layer": 0, "last_layer": 0, "view_of": []}},
}  # fmt: skip
HOSTILE = [None, True, -2, 1 << 60, 10**400, 1.5, float("inf"), float("nan"), "", "9", [], [[]], {}, {"": 0}]


def write(folder: Path, build: object, plan: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, document in ((REPORT, build), (MANIFEST, plan)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(document))
    (folder / ELF).write_bytes(b"")
    return folder


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a document."""
    yield place
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for step, value in steps:
        yield from places(value, (*place, step))


def put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place; the whole document where the place is empty."""
    if not place:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


def test_a_right_build_is_read(tmp_path: Path) -> None:
    firmware, _ = _read_build(write(tmp_path / "b", BUILD, PLAN))
    assert (firmware.footprint.flash, firmware.footprint.stack, firmware.build_id) == (100, 20, "00ff")
    assert [tensor.first for tensor in firmware.footprint.memory.arena.tensors] == [-1, 0]
    assert firmware.footprint.memory.regions[0].kinds == (("code", 60), ("constants", 40))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_it_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    which = data.draw(st.sampled_from([BUILD, PLAN]))
    place = data.draw(st.sampled_from(list(places(which))))
    changed = put(which, place, data.draw(st.sampled_from(HOSTILE)))
    build, plan = (changed, PLAN) if which is BUILD else (BUILD, changed)
    try:
        firmware, _ = _read_build(write(tmp_path / "b", build, plan))
    except StqError as error:
        assert "the build cannot be read" in str(error)
        return
    footprint = firmware.footprint
    numbers = [footprint.flash, footprint.ram, footprint.qstats, footprint.packed, footprint.memory.arena.bytes]
    numbers += [n for region in footprint.memory.regions for n in (region.used, region.size)]
    assert all(type(number) is int and 0 <= number <= LARGEST_COUNT for number in numbers)
    assert all(region.size >= 1 for region in footprint.memory.regions)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("memories", 0, "bytes"), 0, "memories.0..bytes is 0, no whole number from 1 on"),
        (("memories", 0, "bytes"), True, "memories.0..bytes is True"),
        (("flash_bytes",), 1e400, "flash_bytes is 'inf', not a whole number"),
        (("memories",), {"name": 1}, "memories is .*, not a list"),
        (("memories", 0, "sections"), [], "memories.0..sections is '..', not an object"),
        (("build_id",), "xyz", "non-hexadecimal"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(tmp_path: Path, place: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(StqError, match=message):
        _read_build(write(tmp_path / "b", put(BUILD, place, value), PLAN))


def test_a_document_of_another_type_is_named() -> None:
    with pytest.raises(ValueError, match=r"the document is '\[\]', not an object"):
        Checked([]).at("x")
    with pytest.raises(ValueError, match="the document has no 'x'"):
        Checked({}).at("x")
