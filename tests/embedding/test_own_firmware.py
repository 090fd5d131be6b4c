"""examples/own_firmware: two networks in one program, for this computer, a Cortex-M7 and a Cortex-M4."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.toolchain.compilers import candidates, probe
from stq_deploy.toolchain.elf import read_image
from tests.helpers.embedding.own_firmware import (
    BOARD,
    NAMES,
    TARGETS,
    build_networks,
    compile_example,
    expected_text,
    image_size,
    memory_bytes,
    run_emulated,
)
from tests.helpers.networks import random_network

NETWORKS = dict(zip(NAMES, (random_network(5), random_network(3)), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds of both networks."""
    compilers = [found for candidate in candidates() if (found := probe(candidate)) and found.family == "gcc"]
    if not compilers or compilers[0].command[0].endswith("arm-none-eabi-gcc") is False:
        pytest.skip("no arm-none-eabi-gcc is installed")
    folder = tmp_path_factory.mktemp("own_firmware")
    build_networks(NETWORKS, folder, compilers[0])
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_it_compiles_without_a_warning(folder: Path, target: str) -> None:
    assert compile_example(folder, target).is_file()


def test_it_runs_on_this_computer(folder: Path) -> None:
    done = subprocess.run([compile_example(folder, "host")], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == expected_text(NETWORKS)


def test_it_runs_on_the_emulated_board(folder: Path) -> None:
    pytest.importorskip("unicorn")
    assert run_emulated(compile_example(folder, BOARD)) == expected_text(NETWORKS)


@pytest.mark.parametrize("target", ["stm32h743", "cortex_m4"])
def test_no_byte_of_arena_or_scratch_lies_in_flash(folder: Path, target: str) -> None:
    elf = compile_example(folder, target)
    size, image = image_size(elf), read_image(elf)
    needed = sum(map(memory_bytes, NETWORKS.values()))
    assert needed <= size.zeroed <= size.ram
    buffers = ("first_static_arena", "second_arena")
    zeroed = [section for section in image.sections if section.content is None]
    for symbol in image.symbols:
        if symbol.name in buffers:
            assert any(s.address <= symbol.address < s.address + s.size for s in zeroed)
    assert {symbol.name for symbol in image.symbols} >= set(buffers)


def test_what_is_expected_tells_pictures_apart() -> None:
    """Otherwise the comparison above would say nothing."""
    lines = expected_text(NETWORKS).splitlines()
    assert len(set(lines)) == 3
    assert all(len(np.unique(line.split()[4:])) > 1 for line in lines[:2])
