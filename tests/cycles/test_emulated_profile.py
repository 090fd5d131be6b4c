"""Profiles of a small network's firmware: exact instructions as the boards count them, outputs as the reference's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.cycles.memory import MemorySystem
from stq_deploy.cycles.profile import Counted, CounterUnit, Profile, profile_firmware
from stq_deploy.evaluation.profiling import count_on_board, profiling_sample
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.network import Network, save_network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board, load_board
from stq_deploy.targets.boards.model import Timing
from stq_deploy.targets.emulator.layer_trace import NetworkOnCore
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from tests.helpers.command_line import invoke, json_of
from tests.helpers.emulation import needs_emulator
from tests.helpers.networks import random_network

pytestmark = needs_emulator

AROUND_A_LAYER = 40
"""Most instructions between the two readings of the counter that are not of the layer."""


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(3)


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("stm32h743")


@pytest.fixture(scope="module")
def firmware(network: Network, board: Board, tmp_path_factory: pytest.TempPathFactory) -> BuiltFirmware:
    return build_firmware(plan_network(network), board, tmp_path_factory.mktemp("firmware") / "build")


@pytest.fixture(scope="module")
def sample(network: Network) -> npt.NDArray[np.int64]:
    return profiling_sample(network, None)


@pytest.fixture(scope="module")
def profile(firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]) -> Profile:
    return profile_firmware(firmware, board, sample)


def test_instructions_are_those_that_the_emulated_board_counts(
    profile: Profile, firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    with open_emulated(board, firmware, counting=True) as (executor,):
        (answer,) = executor.stream([sample], layer_cycles=True)
    counts = [int(n) for n in answer.layer_cycles] if answer.layer_cycles is not None else []
    differences = [count - one.instructions for count, one in zip(counts, profile.layers, strict=True)]
    assert len(set(differences)) == 1, "the same few instructions stand around every layer"
    assert 0 <= differences[0] <= AROUND_A_LAYER


def test_the_layers_compute_what_the_reference_does(
    firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    """A trace of a layer that ran on wrong values would count something else."""
    program = firmware.program
    core = NetworkOnCore(firmware.elf, board)
    core.put_input(np.ascontiguousarray(sample, program.network.input_type.dtype).tobytes())
    for layer in program.layers:
        core.trace(layer.index)
    expected = np.ascontiguousarray(NumpyExecutor(program).run(sample[None])[0][0], program.network.output_type.dtype)
    assert core.output(expected.nbytes) == expected.tobytes()


def test_two_profiles_are_equal(
    profile: Profile, firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    assert profile_firmware(firmware, board, sample).to_json() == profile.to_json()


def test_sums_and_bounds(profile: Profile) -> None:
    for one in profile.layers:
        assert one.cycles >= one.instructions / 2  # two a cycle at most
        assert sum(one.parts.values()) == pytest.approx(one.cycles, abs=3)
        assert one.parts[one.bound] == max(one.parts.values())
    assert profile.cycles == sum(one.cycles for one in profile.layers)
    assert profile.milliseconds(480_000) == 1.0
    assert profile.macs == sum(one.layer.macs for one in profile.layers)
    assert json.dumps(profile.to_json(), allow_nan=False)


def test_caches_and_waits_only_add(
    profile: Profile, firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    """Without caches every access waits: never fewer cycles, and the same in the core."""
    bare = Board.model_construct(**{**dict(board), "timing": Timing()})
    slow = profile_firmware(firmware, bare, sample)
    assert [one.core.cycles for one in slow.layers] == [one.core.cycles for one in profile.layers]
    assert all(b.waits.cycles >= a.waits.cycles for a, b in zip(profile.layers, slow.layers, strict=True))
    assert sum(one.waits.cycles for one in slow.layers) > sum(one.waits.cycles for one in profile.layers)


def test_energy_needs_the_power_of_the_chip(profile: Profile, board: Board) -> None:
    assert profile.millijoules is None
    powered = Board.model_construct(**{**dict(board), "timing": Timing(milliwatts_per_mhz=0.5)})
    # 0.5 mW/MHz is 0.5 nJ a cycle.
    assert Profile(powered, profile.layers).millijoules == pytest.approx(0.5e-6 * profile.cycles)


def test_the_single_issue_core_takes_longer(
    profile: Profile, firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    other = Board.model_construct(**{**dict(board), "cpu": board.cpu.model_copy(update={"core": "cortex-m4"})})
    single = profile_firmware(firmware, other, sample)
    assert single.instructions == profile.instructions
    assert single.cycles > profile.cycles


def test_a_memory_without_figures_is_noted(network: Network, tmp_path: Path) -> None:
    """QEMU's board: the same kernels, and no word about its waits."""
    board = load_board("mps2-an500")
    firmware = build_firmware(plan_network(network), board, tmp_path / "build")
    found = profile_firmware(firmware, board, profiling_sample(network, None))
    assert "flash" in found.notes[0] and "miss_cycles" in found.notes[0]
    assert sum(one.waits.cycles for one in found.layers) == 0


def test_another_boards_firmware_is_refused(firmware: BuiltFirmware) -> None:
    with pytest.raises(StqError):
        NetworkOnCore(firmware.elf, load_board("mps2-an500"))


def test_a_file_that_is_no_firmware_is_refused(tmp_path: Path, board: Board) -> None:
    other = tmp_path / "firmware.elf"
    other.write_bytes(b"\x7fELF nothing")
    with pytest.raises(StqError):
        NetworkOnCore(other, board)


def test_a_counting_board_beside_the_estimate(
    profile: Profile, firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    with EmulatedBoard(firmware.elf, mode="counting") as emulated:
        counted = count_on_board(board, firmware, emulated.port, sample)
    assert counted.unit is CounterUnit.INSTRUCTIONS, "an emulated board counts no cycles, and the table must not say so"
    assert len(counted.layers) == len(profile.layers)
    shown = profile.beside(counted).to_json()
    assert shown["counted"] == {"unit": "instructions", "sum": sum(counted.layers), "of": counted.inferences}


def test_a_board_whose_counter_stands_still_is_refused(
    firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]
) -> None:
    with EmulatedBoard(firmware.elf, mode="fast") as emulated, pytest.raises(StqError, match="stands still"):
        count_on_board(board, firmware, emulated.port, sample)


def test_the_command(
    profile: Profile, network: Network, firmware: BuiltFirmware, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "small.stq"
    save_network(network, model)
    found = json_of(invoke("profile", "--model", model, "--out", firmware.folder, "--json"))
    assert Path(found.pop("build")).name == firmware.folder.name
    assert found == profile.to_json()
    text = invoke("profile", "--model", model, "--out", firmware.folder).output
    assert "estimates, not measurements" in text
    for one in profile.layers:
        assert f"{one.instructions:,}" in text
    name = profile.layers[0].layer.name
    listed = invoke("profile", "--model", model, "--out", firmware.folder, "--listing", name).output
    assert f"{name}: " in listed and " runs of " in listed


def test_a_listing_needs_a_layer(firmware: BuiltFirmware, board: Board, sample: npt.NDArray[np.int64]) -> None:
    with pytest.raises(StqError, match="there is no layer 'nothing'"):
        profile_firmware(firmware, board, sample, listed="nothing")


def test_the_table_shows_what_a_real_board_counted(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    from stq_deploy.cli._screen import result_console
    from stq_deploy.cli.profile import _print

    counts = tuple(2 * one.cycles for one in profile.layers)
    _print(result_console(as_json=False), profile.beside(Counted(CounterUnit.CYCLES, counts, 5)))
    text = capsys.readouterr().out
    assert "cycles counted" in text and "-50.0 %" in text


def test_watches_cover_what_is_not_beside_the_core(board: Board) -> None:
    assert all(watch.start < watch.end for watch in MemorySystem(board).watches)


def test_without_unicorn_the_error_says_how_to_install_it(
    firmware: BuiltFirmware, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert importlib.util.find_spec("unicorn") is not None
    monkeypatch.setitem(__import__("sys").modules, "unicorn", None)
    with pytest.raises(StqError, match="unicorn") as caught:
        NetworkOnCore(firmware.elf, board)
    assert "install" in caught.value.next
