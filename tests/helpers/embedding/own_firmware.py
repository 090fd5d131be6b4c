"""examples/own_firmware with any two networks: compiled as its Makefile does, run here or on the emulated board."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.compilers import Compiler

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "own_firmware"
BOARD = "stm32h743"
NAMES = ("first", "second")
TARGETS = ("host", BOARD, "cortex_m4")
RUN_SECONDS = 300.0


@dataclass(frozen=True)
class ImageSize:
    """What an image takes, in bytes.

    Attributes:
        flash: of all sections that are programmed.
        ram: of all variables.
        zeroed: of the part of `ram` whose content no flash holds.
    """

    flash: int
    ram: int
    zeroed: int


def build_networks(networks: Mapping[str, Network], folder: Path, compiler: Compiler) -> None:
    """Build each network by its name, as `stq-deploy build --name NAME --out FOLDER/NAME` does."""
    board = load_board(BOARD)
    for name, network in networks.items():
        build_firmware(plan_network(network), board, folder / name, compiler=compiler, name=name)


def compile_example(folder: Path, target: str) -> Path:
    """Run the example's Makefile on the builds in `folder`; returns the program.

    Raises:
        CalledProcessError: it does not compile; what the compiler says is in its `stderr`.
    """
    out = folder / target
    variables = {"TARGET": target, "FIRST": folder / NAMES[0], "SECOND": folder / NAMES[1], "OUT": out}
    command = ["make", "-s", "-f", EXAMPLE / "Makefile", *(f"{key}={value}" for key, value in variables.items())]
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=600)
    if done.stderr:
        raise subprocess.CalledProcessError(0, command, done.stdout, done.stderr)
    return out / "example"


def run_emulated(elf: Path) -> str:
    """What the firmware prints on the emulated board, up to its last line.

    Raises:
        StqError: the board stopped; the error says why.
        TimeoutError: the last line did not come.
    """
    text = b""
    with EmulatedBoard(elf, BOARD) as emulated:
        # The board does not wait to be asked, and pyserial drops what came before it opened the port.
        port = os.open(emulated.port, os.O_RDONLY | os.O_NOCTTY)
        try:
            deadline = time.monotonic() + RUN_SECONDS
            while not text.endswith((b"done\n", b"failed\n")):
                if select.select([port], [], [], 1.0)[0]:
                    text += os.read(port, 4096)
                emulated.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the firmware printed only {text!r}")
        finally:
            os.close(port)
        if emulated.refusals:
            raise AssertionError(f"the hardware would refuse: {emulated.refusals[0]}")
    return text.decode()


def expected_text(networks: Mapping[str, Network]) -> str:
    """What main.c must print, by the reference in NumPy."""
    lines = []
    for name, network in networks.items():
        shape = network.input_type.shape
        pixels = (np.arange(network.input_type.elements) * 37 + 11).astype(np.uint8).reshape(1, *shape)
        logits = NumpyExecutor(plan_network(network)).run(quantize_input(pixels, network.input_format))[0].ravel()
        lines.append(f"{name}: class {int(np.argmax(logits))}, logits {' '.join(map(str, logits.tolist()))}\n")
    return "".join(lines) + "done\n"


def image_size(elf: Path) -> ImageSize:
    """Size of a linked image, by its section headers alone."""
    flash = ram = zeroed = 0
    with elf.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            header = section.header
            if header.sh_flags & SH_FLAGS.SHF_ALLOC:
                is_zeroed = header.sh_type == "SHT_NOBITS"
                flash += 0 if is_zeroed else header.sh_size
                zeroed += header.sh_size if is_zeroed else 0
                ram += header.sh_size if header.sh_flags & SH_FLAGS.SHF_WRITE else 0
    return ImageSize(flash, ram, zeroed)


def memory_bytes(network: Network) -> int:
    """Bytes of a network's arena and scratch memory."""
    plan = plan_network(network)
    return plan.arena.bytes + plan.separate_scratch_bytes
