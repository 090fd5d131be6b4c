"""Every board file loads, and every mistake in one is an error that names it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import Board, board_names, load_board
from stq_deploy.targets.boards.load import FILE_NAME, read_board
from stq_deploy.targets.boards.model import MAXIMUM_BAUD_ERROR
from stq_deploy.targets.emulator.backends import backend_of

BOARD = "stm32h743"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a board's folder, to break."""
    folder = tmp_path / BOARD
    shutil.copytree(load_board(BOARD).folder, folder)
    return folder / FILE_NAME


@pytest.mark.parametrize("name", board_names())
def test_every_board_loads(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.baud_error() < MAXIMUM_BAUD_ERROR
    assert set(board.cpu.flags) == {"gcc", "zig"}
    stack = board.memory_named(board.placement.stack)
    assert board.stack.bytes + board.stack.fault_bytes < stack.bytes


def test_baud_error_is_the_one_computed_by_hand() -> None:
    # 64 MHz / 921600 = 69.44 -> 69 is the worst of 120, 100 and 64 MHz: 64e6 / 69 / 921600 - 1.
    assert load_board(BOARD).baud_error() == pytest.approx(0.006441, abs=1e-6)


def test_unknown_board_lists_those_there_are() -> None:
    with pytest.raises(StqError, match="no board 'stm32f4'") as caught:
        load_board("stm32f4")
    assert BOARD in caught.value.next


def test_a_board_without_chip_probe_or_emulator(copied: Path) -> None:
    text = copied.read_text()
    for table in ("flash", "identity", "emulator"):
        start = text.index(f"[{table}]")
        text = text[:start] + text[text.index("\n[", start) + 1 :]
    copied.write_text(text)
    board = read_board(copied)
    assert (board.flash, board.identity, board.emulator) == (None, None, None)
    with pytest.raises(StqError, match="no emulator of board 'stm32h743'"):
        backend_of(board)


@pytest.mark.parametrize("name", ["../boards/stm32h743", "", "stm32h743/", "STM32H743"])
def test_a_name_is_not_a_path(name: str) -> None:
    with pytest.raises(StqError, match="no board"):
        load_board(name)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "stm32h743"', 'name = "other"', "called 'other'"),
        ("name =", "name", "not a TOML file"),
        ('title = "', 'colour = "red"\ntitle = "', "colour"),
        ("[serial]", "[serial]\nparity = 1", "serial.parity"),
        ("baud = 921_600", 'baud = "921600"', "serial.baud"),
        ("baud = 921_600", "baud = 6_000_000", "baud rate would be off"),
        ("origin = 0x2400_0000", "origin = 0x2000_8000", "dtcm and axi_sram overlap"),
        ("origin = 0x2400_0000", "origin = 0x1_2400_0000", "origin"),
        ('name = "axi_sram"', 'name = "dtcm"', "two memories have the same name"),
        ('arena = ["dtcm", "axi_sram", ', "arena = [], more = [", "not a TOML file"),
        ('arena = ["dtcm", "axi_sram", "sram1_2_3", "sram4"]', "arena = []", "placement.arena"),
        ('arena = ["dtcm", ', 'arena = ["sram9", ', "arena cannot go to 'sram9'"),
        ('arena = ["dtcm", ', 'arena = ["flash_bank1", ', "arena cannot go to 'flash_bank1'"),
        ('arena = ["dtcm", ', 'arena = ["itcm", ', "arena cannot go to 'itcm'"),
        ('kernels = ["itcm", ', 'kernels = ["dtcm", ', "kernels cannot go to 'dtcm'; it can to: flash_bank1, itcm"),
        ('code = "flash_bank1" ', 'code = "dtcm" ', "code cannot go to 'dtcm'"),
        ("serial_interrupt = 39", "serial_interrupt = 150", "serial_interrupt handles interrupt 150, the chip has 150"),
        ("serial_interrupt = 39", "a = 39, b = 39", "two handlers have the same interrupt"),
        ("serial_interrupt = 39", '"void;" = 39', "interrupts.handlers"),
        ("count = 150", "count = 241", "interrupts.count"),
        ('cycle_counter = "dwt"', 'cycle_counter = "sun"', "cpu.cycle_counter"),
        ("guard = 0x2000", "guard = 0x3000", "the guard of itcm does not divide its size"),
        ('kind = "unicorn"', 'kind = "renode"', "emulator"),
        ('kind = "unicorn"', 'kind = "qemu"', "emulator.qemu.machine"),
        ('kind = "unicorn"', 'kind = "qemu"\nmachine = "-M x"', "emulator.qemu.machine"),
        ('"clocks.c"', '"../clocks.c"', "firmware.sources"),
        ('"clocks.c"', '"absent.c"', "absent.c, which is not in its folder"),
    ],
)
def test_a_wrong_file_is_told(copied: Path, old: str, new: str, told: str) -> None:
    text = copied.read_text()
    assert old in text
    copied.write_text(text.replace(old, new, 1))
    with pytest.raises(StqError, match="wrong board file") as caught:
        read_board(copied)
    assert told in caught.value.what
    assert caught.value.where == str(copied)


def test_the_table_of_interrupts_has_an_entry_for_each() -> None:
    table = load_board(BOARD).interrupts.table("fault_entry")
    assert (len(table), table[39], set(table[:39] + table[40:])) == (150, "serial_interrupt", {"fault_entry"})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="cannot read"):
        read_board(tmp_path / FILE_NAME)


def test_boards_do_not_change() -> None:
    board: Board = load_board(BOARD)
    with pytest.raises(ValueError, match="frozen"):
        board.name = "other"
