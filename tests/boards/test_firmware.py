"""The boards' own code on emulated boards: clocks by silicon revision, resets, and what a crash leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board, board_names, load_board
from stq_deploy.targets.emulator.backends import backend_of
from stq_deploy.targets.link.faults import BoardFault
from stq_deploy.targets.link.protocol import ResetCause
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import candidates, probe
from tests.helpers.boards.crashes import BUS_FAULT, LEVELS, MEM_MANAGE, NETWORK, USAGE_FAULT, crashing, running

STACK_OVERFLOW = -1
OVERFLOW_FAULTS = {"stm32h743": BUS_FAULT, "mps2-an500": MEM_MANAGE}  # no memory there, or the MPU


@pytest.fixture(scope="module", params=board_names())
def board(request: pytest.FixtureRequest) -> Board:
    """Every board whose emulator is installed."""
    board = load_board(request.param)
    try:
        backend_of(board)
    except StqError as error:
        pytest.skip(error.what)
    return board


@pytest.fixture(scope="module")
def built(board: Board, tmp_path_factory: pytest.TempPathFactory) -> BuiltFirmware:
    if not any(map(probe, candidates())):
        pytest.skip("no compiler for the board is installed")
    return build_firmware(plan_network(NETWORK), board, tmp_path_factory.mktemp("firmware") / "build")


def test_what_it_says_of_itself(built: BuiltFirmware, board: Board) -> None:
    with running(built.elf, board) as session:
        facts = session.facts
    assert facts.clock_hz == board.clock.core_hz
    assert (facts.board, facts.build_id, facts.model_hash) == (board.name, built.build_id, built.model_hash)
    assert facts.reset_cause == ResetCause.POWER


@pytest.mark.parametrize("board", ["stm32h743"], indirect=True)
@pytest.mark.parametrize(("revision", "hz"), [("V", 480_000_000), ("X", 480_000_000), ("Y", 400_000_000)])
def test_the_clock_follows_the_silicon(built: BuiltFirmware, board: Board, revision: str, hz: int) -> None:
    with running(built.elf, board, revision) as session:
        facts = session.facts
    assert board.identity is not None
    assert facts.clock_hz == hz
    assert facts.silicon & board.identity.mask == board.identity.value
    assert board.identity.revisions[f"0x{facts.silicon >> 16:04X}"] == revision


def test_a_reset_on_request_is_told_from_power_up(built: BuiltFirmware, board: Board) -> None:
    with running(built.elf, board) as session:
        list(session.infer([LEVELS]))
        facts = session.reset_board()
        assert facts.reset_cause == ResetCause.SOFTWARE
        assert not facts.has_fault
        assert session.last_fault() is None


@pytest.mark.parametrize(
    ("instructions", "exception", "registers"),
    [
        pytest.param([0xDE00], USAGE_FAULT, {"cfsr": 1 << 16}, id="undefined instruction"),
        pytest.param(
            [0x2000, 0x6000],
            MEM_MANAGE,
            {"cfsr": 1 << 1 | 1 << 7, "mmfar": 0},
            id="null pointer: str r0, [r0]",
        ),
        # A branch before the division: QEMU does not keep registers up to date within a block that faults so.
        pytest.param(
            [0x2001, 0x2100, 0xE7FF, 0xFB90, 0xF0F1], USAGE_FAULT, {"cfsr": 1 << 25, "r0": 1, "r1": 0}, id="1 / 0"
        ),
        pytest.param([0xB4FF, 0xE7FD], STACK_OVERFLOW, {}, id="stack overflow: push {r0-r7}, for ever"),
    ],
)
def test_a_crash_is_told_and_remembered(
    built: BuiltFirmware,
    board: Board,
    tmp_path: Path,
    instructions: list[int],
    exception: int,
    registers: dict[str, int],
) -> None:
    elf = crashing(built, instructions, tmp_path / "crashing.elf")
    with running(elf, board) as session:
        with pytest.raises(BoardFault) as caught:
            list(session.infer([LEVELS]))
        record = caught.value.record
        assert record.exception == (OVERFLOW_FAULTS[board.name] if exception == STACK_OVERFLOW else exception)
        assert {name: getattr(record, name) for name in registers} == registers
        assert record.layer == 0
        session.open()  # the board has started again by itself
        assert session.facts.reset_cause == ResetCause.FAULT
        assert session.last_fault() == record
        session.reset_board()
        assert session.last_fault() is None
