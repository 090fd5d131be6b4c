"""A former build's files, which nobody vouches for: read whole and typed, or refused by the place that is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stq_deploy.codegen.manifest import describe_program
from stq_deploy.common.checked_json import LARGEST_COUNT, Checked
from stq_deploy.common.errors import StqError
from stq_deploy.program import Program, plan_network
from stq_deploy.toolchain.build_folder import REPORT
from stq_deploy.toolchain.built import ELF, MANIFEST, BuiltFirmware
from stq_deploy.toolchain.former_build import is_built_from, network_name, read_build, read_identity
from stq_deploy.toolchain.parts import Part
from stq_deploy.toolchain.placement import Placed
from stq_deploy.toolchain.stack import StackUse
from tests.helpers.firmwares import firmware, memory, small_program
from tests.helpers.networks import random_network

PROGRAM = small_program()
STACK = StackUse(30, 20, ("main", "run"), 10, 40, ("no recursion",))
PLACED = (Placed(Part("arena", "activations", 8, 7), "dtcm", "hot"), Placed(Part("kernels", "f", 9, 6), "itcm", "hot"))
MEMORIES = (memory("flash", 100, 1000, {".text": 60, ".rodata": 40}, kind="flash"), memory("dtcm", 8, 99))
BUILT = firmware(PROGRAM, board="stm32h743", placed=PLACED, memories=MEMORIES, stack=STACK)
BUILD: dict[str, Any] = json.loads(json.dumps(replace(BUILT, files={"a.c": "ab"}).to_json()))
NAMES = [[] for _ in PROGRAM.layers]
MANIFEST_OF: dict[str, Any] = json.loads(
    json.dumps(describe_program(PROGRAM, NAMES, command="", tool_version="1"))  # what another program reads
)
HOSTILE = [None, True, -2, 1 << 60, 10**400, 1.5, float("inf"), float("nan"), "", "9", [], [[]], {}, {"": 0}]


def write(folder: Path, build: object, manifest: object = MANIFEST_OF) -> Path:
    folder.mkdir(exist_ok=True)
    for name, document in ((REPORT, build), (MANIFEST, manifest)):
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


@pytest.mark.parametrize("stack", [STACK, None])
def test_what_is_read_equals_what_was_built(tmp_path: Path, stack: StackUse | None) -> None:
    built = firmware(PROGRAM, board="stm32h743", placed=PLACED, memories=MEMORIES, stack=stack)
    built = replace(built, folder=tmp_path / "b", files={"a.c": "ab"})
    folder = write(tmp_path / "b", built.to_json())
    assert read_build(folder, PROGRAM) == built
    assert read_identity(folder).board == "stm32h743"
    assert (read_identity(folder).model_hash, read_identity(folder).build_id) == (built.model_hash, built.build_id)


def test_a_real_build_is_read_as_it_was_returned(built: BuiltFirmware) -> None:
    assert is_built_from(built.folder, built.program)
    assert read_build(built.folder, built.program) == built


@pytest.mark.parametrize("seed", range(6))
def test_a_manifest_is_of_its_own_program_alone(tmp_path: Path, seed: int) -> None:
    network = random_network(seed)
    program, again, other = plan_network(network), plan_network(network), plan_network(random_network(seed + 1))
    names = [[] for _ in program.layers]
    folder = write(tmp_path / "b", BUILD, describe_program(program, names, command="", tool_version="0"))
    assert is_built_from(folder, program) and is_built_from(folder, again)
    assert not is_built_from(folder, other)
    assert not is_built_from(folder, replace(program, layers=program.layers[::-1]))
    assert not is_built_from(folder, moved(program))


def moved(program: Program) -> Program:
    """The same, with its first tensor at another place."""
    first, *others = program.arena.tensors
    arena = replace(program.arena, tensors=(replace(first, offset=first.offset + 8), *others))
    return replace(program, arena=arena)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_it_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(list(places(BUILD))))
    changed = put(BUILD, place, data.draw(st.sampled_from(HOSTILE)))
    try:
        found = read_build(write(tmp_path / "b", changed), PROGRAM)
    except StqError as error:
        assert "the build cannot be read" in str(error)
        return
    numbers = [found.flash_bytes, found.ram_bytes, *found.kernel_bytes.values()]
    numbers += [n for use in found.memories for n in (use.used_bytes, use.bytes, *use.sections.values())]
    assert all(type(number) is int and 0 <= number <= LARGEST_COUNT for number in numbers)
    assert all(use.bytes >= 1 for use in found.memories)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_manifest_is_another_programs_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(list(places(MANIFEST_OF))))
    folder = write(tmp_path / "b", BUILD, put(MANIFEST_OF, place, data.draw(st.sampled_from(HOSTILE))))
    try:
        same = is_built_from(folder, PROGRAM)
    except StqError as error:
        assert "the build cannot be read" in str(error)
        return
    assert same or place[:1] in (("layers",), ("tensors",))
    assert isinstance(network_name(folder), str)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("memories", 0, "bytes"), 0, "memories.0..bytes is 0, no whole number from 1 on"),
        (("memories", 0, "bytes"), True, "memories.0..bytes is True"),
        (("memories", 0, "used_bytes"), 1e400, "memories.0..used_bytes is 'inf', not a whole number"),
        (("memories", 0, "used_bytes"), 10**400, "it holds a whole number of 401 digits"),
        (("board",), "\ud800", "the build cannot be read"),
        (("memories",), {"name": 1}, "memories is .*, not a list"),
        (("memories", 0, "sections"), [], "memories.0..sections is '..', not an object"),
        (("placement", 0, "group"), "heap", "placement.0..group is 'heap', none of arena, scratch"),
        (("layers",), [], "layers do not state 'stq_dense_t2_s8'"),
        (("stack_bytes",), "many", "stack_bytes is 'many', not a whole number"),
        (("build_id",), "xyz", "non-hexadecimal"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(tmp_path: Path, place: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(StqError, match=message):
        read_build(write(tmp_path / "b", put(BUILD, place, value)), PROGRAM)


def test_a_document_of_another_type_is_named() -> None:
    with pytest.raises(ValueError, match=r"the document is '\[\]', not an object"):
        Checked([]).at("x")
    with pytest.raises(ValueError, match="the document has no 'x'"):
        Checked({}).at("x")
