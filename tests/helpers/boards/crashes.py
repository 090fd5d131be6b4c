"""Sessions with emulated boards, and firmware that crashes in its first layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile

from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.link.serial_port import open_serial
from stq_deploy.targets.link.session import Session
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.elf import read_image
from tests.helpers.networks import random_network

NETWORK = random_network(3)
LEVELS = np.full(NETWORK.input_type.shape, NETWORK.input_type.minimum, np.int8)
MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 4, 5, 6


@contextmanager
def running(elf: Path, board: Board, revision: str | None = None) -> Iterator[Session]:
    with (
        EmulatedBoard(elf, board.name, revision=revision) as emulated,
        Session(open_serial(emulated.port, board.serial.baud)) as session,
    ):
        yield session


def crashing(built: BuiltFirmware, instructions: list[int], target: Path) -> Path:
    """A copy of the firmware whose first layer begins with these Thumb instructions."""
    function = next(s for s in read_image(built.elf).symbols if s.name == "stq_model_run_layer")
    content = bytearray(built.elf.read_bytes())
    with built.elf.open("rb") as stream:
        (at,) = ELFFile(stream).address_offsets(function.address)
    code = b"".join(word.to_bytes(2, "little") for word in instructions)
    assert len(code) <= function.size  # else the function behind it is changed, too
    content[at : at + len(code)] = code
    target.write_bytes(content)
    return target
