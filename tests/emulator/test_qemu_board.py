"""The board that QEMU emulates: equal to all others in bytes and instructions, and what is said when QEMU fails."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.instruction_counts import LayerCounts
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.open_executor import SECOND_EMULATOR
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.network import Network, save_network
from stq_deploy.network.noise import InputNoise
from stq_deploy.program import plan_network
from stq_deploy.rewrites import add_input_noise
from stq_deploy.targets.boards import Board, load_board
from stq_deploy.targets.emulator.backends import backend_of
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.emulator.program import LoadedElf
from stq_deploy.targets.emulator.qemu_backend import PROGRAM, explain_lockup
from stq_deploy.targets.emulator.qemu_check import emulator_checks
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.elf import read_image
from tests.helpers.networks import random_levels, random_network

SEEDS = (891, 107)
SAMPLES = 6  # more than the link's window, so that bytes arrive while layers run
BOARDS = (SECOND_EMULATOR, "stm32h743")
PATIENCE_SECONDS = 20.0


def qemu_board() -> Board:
    board = load_board(SECOND_EMULATOR)
    try:
        backend_of(board)
    except StqError as error:
        pytest.skip(f"{error.what}; {error.next}")
    return board


@pytest.fixture(scope="module", params=[*SEEDS, "noise"])
def network(request: pytest.FixtureRequest) -> Network:
    if request.param == "noise":
        return add_input_noise(random_network(SEEDS[1]), InputNoise(9.0, seed=1 << 40))
    return random_network(request.param)


@pytest.fixture(scope="module")
def board() -> Board:
    return qemu_board()


@pytest.fixture(scope="module")
def firmware(board: Board, compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> BuiltFirmware:
    return build_afresh(plan_network(random_network(SEEDS[0])), board, tmp_path_factory.mktemp("qemu"))


def wait_until_gone(pid: int) -> None:
    """A zombie counts as gone: its parent has only not asked for it yet."""
    state = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_equal_bytes_and_equal_counts(network: Network, board: Board, compiler: Compiler, tmp_path: Path) -> None:
    """Two emulators and the definition: one CRC for every layer, and one count."""
    pytest.importorskip("unicorn")
    levels = random_levels(network, SAMPLES)
    reference = NumpyExecutor(plan_network(network))
    counts = {}
    for name in BOARDS:
        firmware = build_afresh(plan_network(network), load_board(name), tmp_path / name)
        with open_emulated(load_board(name), firmware, counting=True) as (executor,):
            results = list(executor.stream(levels, crcs=True, layer_cycles=True))
            facts = executor.session.facts
        assert facts.board == name
        np.testing.assert_array_equal([r.crcs for r in results], reference.layer_crcs(levels))
        np.testing.assert_array_equal([r.logits for r in results], reference.run(levels)[0].reshape(SAMPLES, -1))
        counts[name] = np.array([r.layer_cycles for r in results])
        assert [r.cycles for r in results] == counts[name].sum(axis=1).tolist()
        assert (counts[name] > 0).all()
    np.testing.assert_array_equal(*(counts[name] for name in BOARDS))


def test_a_layer_is_equal_only_if_every_sample_is() -> None:
    assert LayerCounts("conv", "stq_convolve_t2_s8", 1, {"a": (10, 11), "b": (10, 11)}).equal
    assert not LayerCounts("conv", "stq_convolve_t2_s8", 1, {"a": (10, 11), "b": (10, 12)}).equal


def test_qemu_ends_with_its_parents(firmware: BuiltFirmware, board: Board) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        with EmulatedBoard(firmware.elf, board.name) as emulated:
            assert emulated._process is not None
            pid = emulated._process.pid
            (qemu,) = children(pid)
            os.kill(pid, end)
            wait_until_gone(pid)
            wait_until_gone(qemu)
    with EmulatedBoard(firmware.elf, board.name) as emulated:
        assert emulated._process is not None
        (qemu,) = children(emulated._process.pid)
    wait_until_gone(qemu)


def test_the_death_of_qemu_is_told(firmware: BuiltFirmware, board: Board) -> None:
    with EmulatedBoard(firmware.elf, board.name) as emulated:
        assert emulated._process is not None
        os.kill(children(emulated._process.pid)[0], signal.SIGKILL)
        with pytest.raises(StqError, match="QEMU, which emulates mps2-an500, has ended with code -9"):
            emulated.check(PATIENCE_SECONDS)


def test_a_link_that_dies_says_why(firmware: BuiltFirmware, board: Board) -> None:
    """The link only sees its port fail; what comes out is the emulator's reason."""
    network = random_network(SEEDS[0])
    levels = random_levels(network, 1)
    with (
        pytest.raises(StqError, match="the core locks up") as caught,
        open_emulated(board, with_udf_in(firmware, "stq_network_run_layer", "handle_fault")) as (executor,),
    ):
        executor.run(levels)
    assert "(handle_fault" in caught.value.where
    assert "can't escalate" in caught.value.cause


def with_udf_in(firmware: BuiltFirmware, *functions: str) -> BuiltFirmware:
    """The same, but that these functions begin with an undefined instruction."""
    content = bytearray(firmware.elf.read_bytes())
    image = read_image(firmware.elf)
    starts = {symbol.name: symbol.address for symbol in image.symbols if symbol.is_function}
    from elftools.elf.elffile import ELFFile

    with firmware.elf.open("rb") as stream:
        elf = ELFFile(stream)
        for name in functions:
            (at,) = elf.address_offsets(starts[name])
            content[at : at + 2] = (0xDE00).to_bytes(2, "little")
    broken = firmware.folder / "broken"
    broken.mkdir(exist_ok=True)
    (broken / firmware.elf.name).write_bytes(content)
    return dataclasses.replace(firmware, folder=broken)


@pytest.mark.parametrize(
    "said",
    ["", "qemu: fatal: Lockup: why\n", "R14=00000000 R15=000000c0\n", "qemu-system-arm: unsupported machine type"],
)
def test_not_everything_is_a_lockup(said: str) -> None:
    assert explain_lockup(said, LoadedElf((), (), ())) is None


def test_no_silicon_revisions(firmware: BuiltFirmware, board: Board) -> None:
    with pytest.raises(StqError, match="no silicon revision 'Y' of mps2-an500: it has none"):
        EmulatedBoard(firmware.elf, board.name, revision="Y").start()


def test_an_image_of_another_board(board: Board, build: Callable[..., Path]) -> None:
    with pytest.raises(StqError, match="outside of the board's flash"):
        EmulatedBoard(build("echo.c"), board.name).start()


def test_emulate_command(firmware: BuiltFirmware, board: Board) -> None:
    command = [sys.executable, "-m", "stq_deploy", "emulate", str(firmware.elf), "--board", board.name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("/dev/")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors


# Without QEMU


@pytest.fixture
def no_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """PATH is this empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_qemu_it_is_said(no_qemu: Path) -> None:
    with pytest.raises(StqError, match=f"{PROGRAM} is not installed") as caught:
        EmulatedBoard(Path("absent.elf"), SECOND_EMULATOR).start()
    assert "apt-get install qemu-system-arm" in caught.value.next
    (check,) = emulator_checks()
    assert (check.present, check.required) == (False, False)
    assert "apt-get install qemu-system-arm" in check.advice
    assert SECOND_EMULATOR in check.used_for


def test_verify_skips_it_only_if_nobody_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stq_deploy.targets.emulator.qemu_backend.PROGRAM", "qemu-that-is-absent")
    model = tmp_path / "net.stq"
    save_network(random_network(SEEDS[0]), model)
    arguments = ["verify", "--model", str(model), "--executors", f"numpy,host,{SECOND_EMULATOR}"]
    asked = CliRunner().invoke(cli, arguments)
    assert asked.exit_code == 1
    assert "qemu-that-is-absent is not installed" in asked.stderr
    monkeypatch.setattr("stq_deploy.cli.verify.DEFAULT_EXECUTORS", arguments[-1])
    by_default = CliRunner().invoke(cli, arguments)
    assert by_default.exit_code == 0, by_default.stderr
    assert f"Skipped {SECOND_EMULATOR}: qemu-that-is-absent is not installed" in by_default.stdout
    assert "Equal in all" in by_default.stdout


def test_doctor_finds_qemu(board: Board) -> None:
    (check,) = emulator_checks()
    assert check.present
    assert "QEMU emulator version" in check.found


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'unsupported machine type' >&2; exit 1", "unsupported machine type"),
        ("exit 0", "it said nothing"),
    ],
)
def test_a_qemu_that_does_not_start(
    script: str, told: str, no_qemu: Path, firmware: BuiltFirmware, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_qemu / PROGRAM).write_text(f"#!/bin/sh\n{script}\n")
    (no_qemu / PROGRAM).chmod(0o755)
    with EmulatedBoard(firmware.elf, board.name) as emulated:
        with pytest.raises(StqError, match="QEMU, which emulates mps2-an500, has ended with code") as caught:
            emulated.check(PATIENCE_SECONDS)
        assert told in caught.value.cause


def test_a_qemu_that_does_not_run(no_qemu: Path) -> None:
    (no_qemu / PROGRAM).write_text("#!/bin/sh\nexit 3\n")
    (no_qemu / PROGRAM).chmod(0o755)
    (check,) = emulator_checks()
    assert not check.present
    assert check.found.startswith("does not run")


def test_committed_counts_are_equal() -> None:
    """tools/compare_emulators wrote them; a figure is equal because its numbers are."""
    figures = json.loads((Path(__file__).resolve().parents[2] / "docs/figures/emulator_counts.json").read_text())
    assert set(figures["emulators"]) == set(BOARDS)
    rows = [row for rows in figures["networks"].values() for row in rows]
    assert figures["differing_layers"] == 0
    for row in rows:
        first, second = (row["instructions"][name] for name in BOARDS)
        assert first == second
        assert len(first) == figures["samples"]
    assert {row["kernel"] for row in rows} == set(figures["kernels"])
