"""Where arena and scratch go, and what is said when something does not fit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.boards import Board
from stq_deploy.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.ops import MaxPool, Reshape, Table, Window
from stq_deploy.network.tensor import TensorType
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.elf import Image, Section, read_image
from stq_deploy.toolchain.placement import Placed, layer_ram_bytes, measuring_bytes, place
from tests.toolchain.conftest import dense

KIB = 1024
FIXED = 9 * KIB + 16 * KIB
"""Stack and variables in the images below."""


def manifest(*layers: tuple[str, int, int]) -> dict[str, Any]:
    """A manifest of layers (name, flash, RAM)."""
    tensor = {"arena_offset": 0, "bytes": 0, "first_layer": -1, "last_layer": 99}
    return {
        "tensors": {"t": tensor},
        "layers": [
            {"index": i, "name": name, "weight_bytes": flash, "table_bytes": 0, "scratch_bytes": ram}
            for i, (name, flash, ram) in enumerate(layers)
        ],
    }


def image(*, flash: int = 100 * KIB, arena: int, scratch: int = 512) -> Image:
    def ram(name: str, address: int, size: int) -> Section:
        return Section(name, address, address, size, None)

    return Image(
        (
            Section(".text", 0x0800_0000, 0x0800_0000, flash, b""),
            ram(".stack", 0x2000_0000, 9 * KIB),
            ram(".bss", 0x2000_2400, 16 * KIB),
            ram(".stq_arena", 0x2400_0000, arena),
            ram(".stq_scratch", 0x2410_0000, scratch),
        ),
        (),
        0,
    )


LAYERS = manifest(("small", 10, 10), ("wide", 900, 70), ("deep", 5000, 40), ("middle", 300, 60))


@pytest.mark.parametrize(
    ("arena", "scratch", "placed"),
    [
        (60 * KIB, 512, Placed("dtcm", "dtcm")),
        (128 * KIB - FIXED - 512, 512, Placed("dtcm", "dtcm")),
        (128 * KIB - FIXED - 511, 512, Placed("dtcm", "axi_sram")),
        (128 * KIB - FIXED, 512, Placed("dtcm", "axi_sram")),
        (128 * KIB - FIXED + 1, 512, Placed("axi_sram", "dtcm")),
        (512 * KIB, 512, Placed("axi_sram", "dtcm")),
        (500 * KIB, 110 * KIB - FIXED, Placed("axi_sram", "dtcm")),
    ],
)
def test_the_first_memory_with_room_is_taken(board: Board, arena: int, scratch: int, placed: Placed) -> None:
    assert place(image(arena=arena, scratch=scratch), board, LAYERS) == placed


def test_an_arena_too_large_tells_by_how_much(board: Board) -> None:
    with pytest.raises(StqError, match="the network does not fit") as caught:
        place(image(arena=512 * KIB + 4), board, LAYERS)
    assert "need 524,292 bytes, 4 more than dtcm or axi_sram has room for (524,288)" in caught.value.what
    assert caught.value.cause == "the largest layers are wide (70 bytes), middle (60 bytes), deep (40 bytes)"


def test_a_scratch_too_large_is_told(board: Board) -> None:
    with pytest.raises(StqError, match="scratch memory need"):
        place(image(arena=500 * KIB, scratch=120 * KIB), board, LAYERS)


def test_too_many_weights_tell_by_how_much(board: Board) -> None:
    with pytest.raises(StqError, match="code and weights need") as caught:
        place(image(flash=2048 * KIB + 7, arena=1000), board, LAYERS)
    assert "need 2,097,159 bytes, 7 more than flash has room for" in caught.value.what
    assert "deep (5,000 bytes), wide (900 bytes), middle (300 bytes)" in caught.value.cause


def test_a_layer_needs_its_live_tensors_and_its_scratch() -> None:
    def tensor(offset: int, size: int, first: int, last: int) -> dict[str, int]:
        return {"arena_offset": offset, "bytes": size, "first_layer": first, "last_layer": last}

    tensors = {
        "before": tensor(0, 1, -1, 1),
        "input": tensor(0, 10, 0, 2),
        "its view": tensor(0, 10, 2, 2),
        "its half, rewritten in place": tensor(5, 5, 2, 3),
        "output": tensor(40, 100, 2, 3),
        "after": tensor(0, 1000, 3, 4),
    }
    assert layer_ram_bytes({"tensors": tensors}, {"index": 2, "scratch_bytes": 10_000}) == 10_110


def test_memories_of_the_measuring_link_do_not_overlap(board: Board) -> None:
    sizes = measuring_bytes(board)
    ranges = sorted((m.origin, m.origin + sizes[m.name]) for m in board.memory)
    assert all(end <= origin for (_, end), (origin, _) in pairwise(ranges))
    assert all(sizes[m.name] >= m.bytes for m in board.memory)


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


def test_a_wide_network_moves_to_the_larger_memory(gcc: Compiler, board: Board, tmp_path: Path) -> None:
    built = build_firmware(wide_network(400), board, tmp_path / "out", compiler=gcc)
    assert built.placed == Placed("axi_sram", "dtcm")
    axi = board.memory_named("axi_sram")
    arena = next(s for s in read_image(built.elf).sections if s.name == ".stq_arena")
    assert axi.origin <= arena.address < arena.address + arena.size <= axi.end
    assert {use.name for use in built.memories} == {"flash", "dtcm", "axi_sram"}


def test_a_network_too_wide_leaves_nothing(gcc: Compiler, board: Board, tmp_path: Path) -> None:
    with pytest.raises(StqError, match=r"the activations \(arena\) need") as caught:
        build_firmware(wide_network(800), board, tmp_path / "out", compiler=gcc)
    assert "more than dtcm or axi_sram has room for (524,288)" in caught.value.what
    assert "table (640,000 bytes)" in caught.value.cause
    assert list(tmp_path.iterdir()) == []


def test_a_firmware_too_large_leaves_nothing(gcc: Compiler, board: Board, tiny: Network, tmp_path: Path) -> None:
    flash = board.memory_named("flash").model_copy(update={"bytes": 4 * KIB})
    small = board.model_copy(update={"memory": [flash, *board.memory[1:]]})
    small._folder = board.folder
    with pytest.raises(StqError, match="code and weights need") as caught:
        build_firmware(tiny, small, tmp_path / "out", compiler=gcc)
    assert "more than flash has room for (4,096)" in caught.value.what
    assert "logits (8 bytes)" in caught.value.cause
    assert list(tmp_path.iterdir()) == []
