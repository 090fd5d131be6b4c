"""Firmware whose parts lie in every memory there is, on the emulated board: right, guarded, and checked as strictly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.backends import backend_of
from stq_deploy.targets.link.faults import BoardFault
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import candidates, probe
from stq_deploy.toolchain.elf import read_image
from tests.helpers.boards.crashes import LEVELS, MEM_MANAGE, NETWORK, USAGE_FAULT, crashing, running
from tests.helpers.networks import random_levels
from tests.helpers.toolchain import dense

BOARD = load_board("stm32h743")
ITCM = range(BOARD.memory_named("itcm").origin, BOARD.memory_named("itcm").end)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltFirmware:
    try:
        backend_of(BOARD)
    except StqError as error:
        pytest.skip(error.what)
    if not any(map(probe, candidates())):
        pytest.skip("no compiler for the board is installed")
    program = plan_network(NETWORK, optimize="speed")  # with copies in fast memory
    return build_firmware(program, BOARD, tmp_path_factory.mktemp("firmware") / "build")


def assert_right(built: BuiltFirmware, network: Network = NETWORK) -> None:
    levels = random_levels(network, 4).astype(np.int8)
    with running(built.elf, BOARD) as session:
        logits = [result.logits for result in session.infer(levels)]
    np.testing.assert_array_equal(logits, NumpyExecutor(plan_network(network)).run(levels)[0].reshape(len(levels), -1))


@pytest.mark.parametrize(
    "places",
    [
        {"kernels": ["flash_bank1"], "weights": ["flash_bank1"], "arena": ["sram1_2_3"], "scratch": ["sram4"]},
        {"kernels": ["itcm"], "weights": ["sram1_2_3"], "arena": ["axi_sram"], "scratch": ["axi_sram"]},
        {"weights": ["dtcm"], "arena": ["sram4"], "scratch": ["sram1_2_3"]},
        {"weights": ["flash_bank2"], "arena": ["dtcm"], "scratch": ["axi_sram"]},
    ],
    ids=["none in tightly coupled memory", "weights behind a clock", "weights in dtcm", "weights in bank 2"],
)
def test_parts_lie_where_they_are_asked_to(built: BuiltFirmware, tmp_path: Path, places: dict[str, list[str]]) -> None:
    asked = build_firmware(plan_network(NETWORK), BOARD, tmp_path / "build", places=places)
    assert asked.build_id != built.build_id
    for placed in asked.placement.placed:
        assert [placed.memory] == places.get(placed.part.group, ["itcm"])
    image = read_image(asked.elf)
    for group, section in (("arena", ".stq_arena"), ("scratch", ".stq_scratch")):
        memory = BOARD.memory_named(places[group][0])
        (found,) = (s for s in image.sections if s.name == section)
        assert memory.origin <= found.address < memory.end
    weights = [s for s in image.symbols if "_weights_layer_" in s.name]
    memory = BOARD.memory_named(places["weights"][0])
    assert weights and all(memory.origin <= s.address < memory.end for s in weights)
    assert_right(asked)


def test_a_layer_larger_than_a_bank_lies_across_both(built: BuiltFirmware, tmp_path: Path) -> None:
    inputs, outputs = 2100, 520
    weights = np.random.default_rng(0).integers(0, 2, (inputs, outputs)).astype(np.int8)
    tensors = {
        "image": TensorType((inputs,), "int8", -128, 127, 1.0),
        "logits": TensorType((outputs,), "int32", -128 * inputs, 127 * inputs, 1.0),
    }
    layer = dense("logits", "image", "logits", weights)
    network = Network(tensors, (layer,), "image", ("logits",))
    large = build_firmware(plan_network(network), BOARD, tmp_path / "build")
    used = {use.name: use.used_bytes for use in large.memories}
    assert used["flash_bank1"] == BOARD.memory_named("flash_bank1").bytes
    assert used["flash_bank1"] + used["flash_bank2"] == large.flash_bytes == len(large.bin.read_bytes())
    assert large.flash_bytes > weights.size > used["flash_bank1"]
    assert_right(large, network)


def test_an_inference_runs_in_itcm(built: BuiltFirmware) -> None:
    image = read_image(built.elf)
    kernels = {layer.kernel for layer in built.layers}
    names = kernels | {"stq_run_timed", "stq_network_run_layer", "stq_port_cycles", "stq_requantize_pixel"}
    assert all(s.address in ITCM for s in image.symbols if s.name in names and s.is_function)
    # What runs before ITCM is filled is not there, nor what no inference runs.
    outside = {"startup_reset", "start", "memory_fill", "memset", "stq_server_poll", "serial_interrupt"}
    assert not any(s.address in ITCM for s in image.symbols if s.name in outside)
    assert_right(built)


def fault(built: BuiltFirmware, instructions: list[int], folder: Path) -> BoardFault:
    elf = crashing(built, instructions, folder / "crashing.elf")
    with running(elf, BOARD) as session, pytest.raises(BoardFault) as caught:
        list(session.infer([LEVELS]))
    return caught.value


def test_a_fault_in_itcm_is_told_with_its_function(built: BuiltFirmware, tmp_path: Path) -> None:
    record = fault(built, [0xDE00], tmp_path).record  # undefined
    assert record.exception == USAGE_FAULT
    assert record.pc in ITCM


LOAD, STORE = 0x6801, 0x6001  # ldr r1, [r0]; str r1, [r0]


@pytest.mark.parametrize("instruction", [LOAD, STORE], ids=["load", "store"])
def test_below_its_contents_itcm_cannot_be_touched(built: BuiltFirmware, tmp_path: Path, instruction: int) -> None:
    contents = min(s.address for s in read_image(built.elf).symbols if s.is_function)
    guard = BOARD.memory_named("itcm").guard
    first = contents // guard * guard
    for address in {0, 4, guard - 4, first - 4}:
        high, low = address >> 8, address & 0xFF
        # movs r0, #high; lsls r0, r0, #8; adds r0, #low
        record = fault(built, [0x2000 | high, 0x0200, 0x3000 | low, instruction], tmp_path).record
        assert (record.exception, record.mmfar) == (MEM_MANAGE, address)


def test_its_contents_cannot_be_changed(built: BuiltFirmware, tmp_path: Path) -> None:
    # mov r0, pc; bic r0, r0, #3; str r1, [r0]
    record = fault(built, [0x4678, 0xF020, 0x0003, STORE], tmp_path).record
    assert record.exception == MEM_MANAGE
    assert record.mmfar in ITCM


def test_code_in_itcm_is_checked_like_any(built: BuiltFirmware, tmp_path: Path) -> None:
    """LDRD at an odd address: the emulator watches such instructions where they run, not where they are loaded."""
    # mov r0, sp; adds r0, #1; ldrd r2, r3, [r0]
    record = fault(built, [0x4668, 0x3001, 0xE9D0, 0x2300], tmp_path).record
    assert (record.exception, record.cfsr) == (USAGE_FAULT, 1 << 24)
