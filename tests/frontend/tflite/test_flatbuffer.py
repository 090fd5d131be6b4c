"""Offsets, sizes and counts in .tflite files that lead nowhere, back, or too far."""

from __future__ import annotations

import json
import random
import struct

import pytest

from stq_deploy.frontend.formats.tflite.extract import extract
from stq_deploy.frontend.formats.tflite.flatbuffer import FlatTable
from stq_deploy.sandbox import Unusable
from tests.helpers.frontend.tflite_cases import cases
from tests.helpers.frontend.tflite_mutations import MUTATIONS


def table(*fields: bytes, after: bytes = b"", vtable: bytes | None = None) -> bytes:
    """A file: the offset of its root, a vtable, and a table of fields, each of which takes 4 bytes."""
    size = 4 + 4 * len(fields)
    own = struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), size, *(4 + 4 * i for i in range(len(fields))))
    own = own if vtable is None else vtable
    own += bytes(-len(own) % 4)
    return struct.pack("<I", 4 + len(own)) + own + struct.pack("<i", len(own)) + b"".join(fields) + after


def word(value: int) -> bytes:
    return struct.pack("<I", value % 2**32)


def test_fields_that_are_there_and_absent() -> None:
    found = FlatTable.root(table(word(7), word(4), after=word(3) + struct.pack("<3i", 1, -2, 3)))
    assert found.integer(0, "uint32") == 7
    assert found.integers(1, "int32", 3) == [1, -2, 3]
    assert found.integer(9, "int32", 5) == 5
    assert found.table(9) is None and found.integers(9, "int32", 3) == [] and found.text(9) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        word(4),
        word(2**31),
        word(0),  # the root is the offset itself: its vtable would be itself
        table(word(1), vtable=struct.pack("<2H", 3, 8)),
        table(word(1), vtable=struct.pack("<2H", 2, 8)),
        table(word(1), vtable=struct.pack("<2H", 4000, 8)),
        table(word(1), vtable=struct.pack("<3H", 6, 40000, 4)),
        table(word(1), vtable=struct.pack("<3H", 6, 2, 4)),
    ],
)
def test_a_root_that_is_no_table(content: bytes) -> None:
    with pytest.raises(Unusable):
        FlatTable.root(content)


@pytest.mark.parametrize(
    ("field", "after", "limit"),
    [
        (word(4), word(2**32 - 1), 2**33),  # more elements than bytes
        (word(4), word(5) + bytes(16), 9),
        (word(2**32 - 4), b"", 9),
        (word(4), word(4) + bytes(16), 3),  # more than allowed
        (word(4), b"\1\0", 9),  # the count itself is cut off
    ],
)
def test_a_vector_that_leaves_the_file(field: bytes, after: bytes, limit: int) -> None:
    with pytest.raises(Unusable):
        FlatTable.root(table(field, after=after)).numbers(0, "int32", limit)


def test_a_field_outside_its_table() -> None:
    for place in (2, 5, 8, 4000):
        with pytest.raises(Unusable):
            FlatTable.root(table(word(1), vtable=struct.pack("<3H", 6, 8, place))).integer(0, "uint32")


def test_an_offset_that_would_point_back_is_refused() -> None:
    """Offsets are unsigned, so a table can contain itself only if they wrap around, and they do not."""
    with pytest.raises(Unusable, match="outside the file"):
        FlatTable.root(table(word(-4))).table(0)


def test_the_same_part_cannot_be_read_without_end() -> None:
    """A small file whose tables all refer to one large vector."""
    entry = table(word(4), after=word(1 << 20) + bytes(1 << 20))
    found = FlatTable.root(entry)
    with pytest.raises(Unusable, match="more often"):
        for _ in range(100):
            found.data(0, 1 << 20)


@pytest.mark.parametrize("kind", sorted(MUTATIONS))
def test_mutated_files_give_a_description_or_one_error(kind: str) -> None:
    seeds = [content for content, _, _ in cases().values()]
    for number in range(150):
        state = random.Random(f"{kind}:{number}")
        content = MUTATIONS[kind](state.choice(seeds), state, seeds)
        try:
            json.loads(extract(content).header["config"])
        except Unusable as error:
            assert str(error)


def test_every_truncation_is_refused_or_a_whole_description() -> None:
    content = cases()["dense"][0]
    for length in range(len(content)):
        try:
            json.loads(extract(content[:length]).header["config"])
        except Unusable:
            continue
