"""Which memory each part goes to, why, and what is said when something does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.ops import MaxPool, Reshape, Table, Window
from stq_deploy.network.tensor import TensorType
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board
from stq_deploy.targets.boards.override import with_places
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.elf import Image, Section, read_image
from stq_deploy.toolchain.parts import Part, PartGroup
from stq_deploy.toolchain.placement import (
    LayerNeeds,
    Pays,
    Placement,
    extents,
    linked_bytes,
    measuring_bytes,
    place,
    used_bytes,
)
from tests.helpers.toolchain import dense

KIB = 1024
FIXED = 9 * KIB + 16 * KIB
"""Stack and variables in the images below."""
DTCM = 128 * KIB - FIXED
OTHER_FLASH = 20 * KIB
"""Code and constants that belong to no layer."""


LAYERS = (
    LayerNeeds("small", 10, 10),
    LayerNeeds("wide", 900, 70),
    LayerNeeds("deep", 5000, 40),
    LayerNeeds("middle", 300, 60),
)


def activations(size: int, accesses: int = 1000) -> Part:
    return Part("arena", "activations", size, accesses)


def scratch(size: int, accesses: int = 0) -> Part:
    return Part("scratch", "scratch memory", size, accesses)


def constants(name: str, size: int, reads: float) -> Part:
    """Weights of a layer, each byte of which is read `reads` times."""
    return Part("weights", name, size, round(reads * size), (f"*(.rodata.{name})",))


def function(name: str, size: int, work: int) -> Part:
    return Part("kernels", name, size, work, (f"*{name}.o(.text.{name})",))


def placed(
    board: Board,
    *parts: Part,
    flash: int | None = None,
    asked: dict[str, list[str]] | None = None,
    pays: Pays = lambda _parts, _ram_bytes: True,
) -> Placement:
    """Place parts, and nothing for arena and scratch if there are none.

    Args:
        flash: bytes of the measuring link's image; by default `OTHER_FLASH` and what the parts need.
        asked: memories that the user chose.
        pays: whether a copy is worth its RAM.
    """
    groups = {part.group for part in parts}
    parts = (*parts, *(p for p in (activations(0), scratch(0)) if p.group not in groups))
    content = sum(part.bytes for part in parts if part.inputs)

    def section(name: str, address: int, size: int) -> Section:
        return Section(name, address, address, size, None)

    image = Image(
        (
            section(".text", 0x0800_0000, OTHER_FLASH + content if flash is None else flash),
            section(".stack", 0x2000_0000, 9 * KIB),
            section(".bss", 0x2000_2400, 16 * KIB),
            section(".stq_arena", 0x2400_0000, sum(p.bytes for p in parts if p.group == "arena")),
            section(".stq_scratch", 0x3000_0000, sum(p.bytes for p in parts if p.group == "scratch")),
        ),
        (),
        0,
    )
    return place(parts, image, with_places(board, asked or {}), LAYERS, asked or {}, pays)


def where(placement: Placement, group: PartGroup) -> dict[str, str]:
    """Part -> memory, in the order they were placed."""
    return {one.part.name: one.memory for one in placement.placed if one.part.group == group}


@pytest.mark.parametrize(
    ("arena", "needed", "memories"),
    [
        (60 * KIB, 512, ("dtcm", "dtcm")),
        (DTCM - 512, 512, ("dtcm", "dtcm")),
        (DTCM - 511, 512, ("dtcm", "axi_sram")),
        (DTCM, 512, ("dtcm", "axi_sram")),
        (DTCM + 1, 512, ("axi_sram", "dtcm")),
        (512 * KIB, 512, ("axi_sram", "dtcm")),
        (500 * KIB, DTCM + 1, ("axi_sram", "sram1_2_3")),
        (12 * KIB, 512 * KIB, ("dtcm", "axi_sram")),
        (512 * KIB, 288 * KIB, ("axi_sram", "sram1_2_3")),
    ],
)
def test_the_first_memory_with_room_is_taken(board: Board, arena: int, needed: int, memories: tuple[str, str]) -> None:
    found = placed(board, activations(arena), scratch(needed))
    assert (found.memory_of("arena"), found.memory_of("scratch")) == memories


@pytest.mark.parametrize(("worth", "memory"), [(True, "itcm"), (False, "flash_bank1")])
def test_functions_move_together_or_not_at_all(board: Board, worth: bool, memory: str) -> None:
    """A call from one memory to another would go through a veneer, once for each call."""
    asked = []

    def pays(parts: Sequence[Part], ram_bytes: int) -> bool:
        asked.append([part.name for part in parts])
        return worth

    found = placed(board, function("hot", 64, 10**9), function("cold", 3000, 1), constants("fc", 80, 9), pays=pays)
    assert where(found, "kernels") == {"hot": memory, "cold": memory}
    assert asked == [["hot", "cold"], ["fc"]]


def test_of_two_that_do_not_fit_together_the_hotter_gets_the_faster_memory(board: Board) -> None:
    for arena_accesses, scratch_accesses, memories in ((2, 1, ("dtcm", "axi_sram")), (1, 2, ("axi_sram", "dtcm"))):
        found = placed(board, activations(60 * KIB, arena_accesses), scratch(60 * KIB, scratch_accesses))
        assert (found.memory_of("arena"), found.memory_of("scratch")) == memories


def test_the_hotter_gives_way_to_what_fits_nowhere_else(board: Board) -> None:
    """The hot scratch would take the only memory with room for the arena."""
    found = placed(board, activations(512 * KIB, 1), scratch(DTCM + 1, 10**9))
    assert (found.memory_of("arena"), found.memory_of("scratch")) == ("axi_sram", "sram1_2_3")


def test_the_hottest_constants_are_copied_as_long_as_there_is_room(board: Board) -> None:
    found = placed(
        board,
        activations(DTCM - 10 * KIB),
        constants("warm", 4 * KIB, 20),
        constants("cold", 4 * KIB, 3),
        constants("hot", 4 * KIB, 100),
        constants("small and cool", 2 * KIB, 2),
    )
    assert where(found, "weights") == {
        "hot": "dtcm",
        "warm": "dtcm",
        "cold": "flash_bank1",
        "small and cool": "dtcm",
    }
    assert list(where(found, "weights")) == ["hot", "warm", "cold", "small and cool"]
    (section,) = found.sections(board)
    assert (section.section, section.memory, section.is_copied) == (".stq_weights_dtcm", "dtcm", True)
    assert section.inputs == ("*(.rodata.hot)", "*(.rodata.small and cool)", "*(.rodata.warm)")


@pytest.mark.parametrize(("reads", "memory"), [(0, "flash_bank1"), (1, "flash_bank1"), (1.5, "dtcm")])
def test_what_is_read_once_is_not_copied(board: Board, reads: float, memory: str) -> None:
    found = placed(board, constants("dense", 4 * KIB, reads))
    assert where(found, "weights") == {"dense": memory}
    assert ("a copy gains nothing" in found.placed[-1].reason) == (memory == "flash_bank1")
    assert where(placed(board, constants("dense", 4 * KIB, reads), asked={"weights": ["dtcm"]}), "weights") == {
        "dense": "dtcm"
    }


def test_what_stays_behind_says_how_little_was_left(board: Board) -> None:
    found = placed(board, activations(DTCM - 4 * KIB), constants("hot", 3 * KIB, 9), constants("next", 2 * KIB, 8))
    last = found.placed[-1]
    assert (last.part.name, last.memory) == ("next", "flash_bank1")
    assert last.reason == "may go to dtcm, flash_bank1, flash_bank2; dtcm has 1,024 bytes left"


def test_functions_fill_the_end_of_their_memory(board: Board) -> None:
    """From a multiple of the guard on; the lowest part of it always stays empty."""
    itcm = board.memory_named("itcm")
    for size, guards in ((1, 1), (7 * KIB, 1), (8 * KIB - 512, 1), (8 * KIB - 511, 2), (48 * KIB, 7)):
        found = placed(board, function("kernel", size, 1))
        assert where(found, "kernels") == {"kernel": "itcm"}
        assert found.contents(board) == {"itcm": itcm.end - guards * itcm.guard}
    full = placed(board, function("kernel", itcm.bytes - itcm.guard, 1))
    assert where(full, "kernels") == {"kernel": "flash_bank1"}
    assert full.contents(board) == {"itcm": itcm.end}
    assert full.sections(board) == []


def test_the_busiest_functions_come_first(board: Board) -> None:
    found = placed(board, function("idle", 30 * KIB, 1), function("busy", 30 * KIB, 10**6), function("tiny", 64, 5))
    assert where(found, "kernels") == {"busy": "itcm", "tiny": "itcm", "idle": "flash_bank1"}
    (section,) = found.sections(board)
    assert section.is_code and section.inputs == ("*busy.o(.text.busy)", "*tiny.o(.text.tiny)")


def test_constants_that_do_not_fit_into_the_first_bank_go_to_the_second(board: Board) -> None:
    parts = [constants(f"layer{i}", 300 * KIB, 5 - i) for i in range(5)]
    found = placed(board, *parts, asked={"weights": ["flash_bank1", "flash_bank2"]})
    assert list(where(found, "weights").values()) == ["flash_bank1"] * 3 + ["flash_bank2"] * 2
    assert "flash_bank1 has 106,496 bytes left" in found.placed[-1].reason
    (section,) = found.sections(board)
    assert (section.section, section.is_copied) == (".stq_weights_flash_bank2", False)
    assert linked_bytes(board, found)["flash_bank1"] == 1024 * KIB


def test_the_image_of_a_copy_takes_the_code_s_bank(board: Board) -> None:
    """20 KiB of code and 1,000 of one layer leave 4 KiB of the bank: room for the images of only one of two copies."""
    two = [constants("first", 4 * KIB, 50), constants("second", 4 * KIB, 40)]
    found = placed(board, constants("large", 1000 * KIB, 60), *two)
    assert where(found, "weights") == {"large": "flash_bank1", "first": "dtcm", "second": "flash_bank2"}


def test_a_layer_larger_than_a_bank_runs_on_into_the_next(board: Board) -> None:
    found = placed(board, constants("huge", 1500 * KIB, 2), constants("hot", 1 * KIB, 9))
    assert where(found, "weights") == {"hot": "dtcm", "huge": "flash_bank1"}
    assert "runs on into the banks behind" in found.placed[-1].reason
    sizes = linked_bytes(board, found)
    assert (sizes["flash_bank1"], sizes["flash_bank2"]) == (2048 * KIB, 0)


def test_an_arena_too_large_tells_by_how_much(board: Board) -> None:
    with pytest.raises(StqError, match="the network does not fit") as caught:
        placed(board, activations(512 * KIB + 4))
    assert "need 524,292 bytes, 4 more than dtcm or axi_sram or sram1_2_3 or sram4 has" in caught.value.what
    assert caught.value.cause == "the largest layers are wide (70 bytes), middle (60 bytes), deep (40 bytes)"


def test_a_scratch_too_large_is_told(board: Board) -> None:
    with pytest.raises(StqError, match="scratch memory need"):
        placed(board, activations(500 * KIB), scratch(300 * KIB))


def test_what_was_asked_for_and_does_not_fit_is_told_with_what_would(board: Board) -> None:
    with pytest.raises(StqError, match=r"need 102,400 bytes, 36,864 more than sram4 has room for \(65,536\)") as caught:
        placed(board, activations(100 * KIB), asked={"arena": ["sram4"]})
    assert caught.value.next == (
        "drop --place arena=..., or name a memory with room: dtcm (105,472 bytes left), axi_sram (524,288 bytes left),"
        " sram1_2_3 (294,912 bytes left)"
    )
    with pytest.raises(StqError, match="the constants of layer big need") as caught:
        placed(board, constants("big", 200 * KIB, 5), asked={"weights": ["dtcm"]})
    assert "flash_bank1 (1,028,096 bytes left)" in caught.value.next
    with pytest.raises(StqError, match="the function kernel need") as caught:
        placed(board, function("kernel", 64 * KIB, 5), asked={"kernels": ["itcm"]})
    assert "flash_bank1" in caught.value.next


def test_too_many_weights_tell_by_how_much(board: Board) -> None:
    with pytest.raises(StqError, match="code and weights need") as caught:
        placed(board, flash=2048 * KIB + 7)
    assert "need 2,097,159 bytes, 7 more than flash_bank1 has room for (2,097,152)" in caught.value.what
    assert "deep (5,000 bytes), wide (900 bytes), middle (300 bytes)" in caught.value.cause


def test_parts_of_a_section_belong_to_the_banks_they_lie_in(board: Board) -> None:
    one, two = board.memory_named("flash_bank1"), board.memory_named("flash_bank2")
    across = Section(".rodata", one.end - 100, one.end - 100, 300, b"")
    copied = Section(".data", 0x2000_0000, one.end - 200, 50, b"")
    assert extents(across, one.origin, one.end) == [(one.end - 100, one.end)]
    assert (used_bytes([across, copied], one, one.bytes), used_bytes([across, copied], two, two.bytes)) == (
        one.bytes,
        200,
    )
    assert extents(copied, one.origin, one.end) == [(one.end - 200, one.end - 150)]
    assert extents(copied, two.origin, two.end) == []


def test_memories_of_the_measuring_link_do_not_overlap(board: Board) -> None:
    sizes = measuring_bytes(board)
    ranges = sorted((m.origin, m.origin + sizes[m.name]) for m in board.memory if sizes[m.name])
    assert all(end <= origin for (_, end), (origin, _) in pairwise(ranges))
    banks = {"flash_bank2": 0}  # bank 1 takes it along
    assert all(sizes[m.name] >= banks.get(m.name, m.bytes) for m in board.memory)
    assert sizes["flash_bank1"] >= board.flash_run().bytes == 2048 * KIB


def wide_network(side: int) -> Network:
    """A table over an image of `side` x `side` levels, the maximum of that, and two logits of it."""
    square = (side, side)
    tensors = {
        "image": TensorType((*square, 1), "int8", -128, 127, 1.0),
        "copy": TensorType((*square, 1), "int8", -128, 127, 1.0),
        "peak": TensorType((1, 1, 1), "int8", -128, 127, 1.0),
        "vector": TensorType((1,), "int8", -128, 127, 1.0),
        "logits": TensorType((2,), "int32", -128, 127, 1.0),
    }
    ops = (
        Table("table", ("image",), "copy", (), table=np.arange(-128, 128).astype(np.int8)),
        MaxPool("peak", ("copy",), "peak", (), window=Window(square, square, (1, 1), (0, 0), (0, 0))),
        Reshape("flatten", ("peak",), "vector", ()),
        dense("logits", "vector", "logits", np.ones((1, 2), np.int8)),
    )
    return Network(tensors, ops, "image", ("logits",))


def test_a_wide_network_moves_to_the_larger_memory(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    built = build_firmware(plan_network(wide_network(400)), board, tmp_path / "out", compiler=compiler)
    assert (built.placement.memory_of("arena"), built.placement.memory_of("scratch")) == ("axi_sram", "dtcm")
    axi = board.memory_named("axi_sram")
    arena = next(s for s in read_image(built.elf).sections if s.name == ".stq_arena")
    assert axi.origin <= arena.address < arena.address + arena.size <= axi.end
    assert {use.name for use in built.memories if use.used_bytes} == {"flash_bank1", "dtcm", "axi_sram"}
    assert [use.name for use in built.memories] == [memory.name for memory in board.memory]


def test_a_network_too_wide_leaves_nothing(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    with pytest.raises(StqError, match=r"the activations \(arena\) need") as caught:
        build_firmware(plan_network(wide_network(800)), board, tmp_path / "out", compiler=compiler)
    assert "has room for (524,288)" in caught.value.what
    assert "table (640,000 bytes)" in caught.value.cause
    assert list(tmp_path.iterdir()) == []


def small_flash(board: Board, *sizes: int) -> Board:
    """The board with banks of other sizes, one directly behind the other."""
    banks, origin = [], board.flash_run().origin
    for memory, size in zip(board.memory, sizes, strict=False):
        banks.append(memory.model_copy(update={"origin": origin, "bytes": size}))
        origin += size
    changed = board.model_copy(update={"memory": [*banks, *board.memory[2:]]})
    changed._folder = board.folder
    return changed


def test_a_firmware_too_large_leaves_nothing(compiler: Compiler, board: Board, tiny: Network, tmp_path: Path) -> None:
    with pytest.raises(StqError, match="code and weights need") as caught:
        build_firmware(plan_network(tiny), small_flash(board, 3 * KIB, 1 * KIB), tmp_path / "out", compiler=compiler)
    assert "more than flash_bank1 has room for (4,096)" in caught.value.what
    assert "logits (8 bytes)" in caught.value.cause
    assert list(tmp_path.iterdir()) == []
