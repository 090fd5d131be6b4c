"""The emulated board as a process: its port, its end, and what it says when it dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.emulator.program import load_program
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from tests.helpers.emulator.bench import BAUD

Build = Callable[..., Path]
PATIENCE_SECONDS = 20.0


def open_port(board: EmulatedBoard, baud: int = BAUD) -> serial.Serial:
    return serial.Serial(board.port, baud, timeout=PATIENCE_SECONDS, write_timeout=PATIENCE_SECONDS)


def process_id(board: EmulatedBoard) -> int:
    assert board._process is not None
    return board._process.pid


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_gone(pid: int) -> None:
    """A zombie counts as gone: its parent has only not asked for it yet."""
    state = Path(f"/proc/{pid}/stat")
    wait_until(lambda: not state.exists() or state.read_text().split()[2] == "Z")


def test_echo_through_pyserial(build: Build) -> None:
    data = os.urandom(20_000)
    with EmulatedBoard(build("echo.c")) as board, open_port(board) as port:
        received = b""
        for at in range(0, len(data), 1000):
            port.write(data[at : at + 1000])
            received += port.read(1000)
        assert received == data
        board.check()
        assert board.refusals == ()


def test_two_boards_side_by_side(build: Build, tmp_path: Path) -> None:
    link = tmp_path / "board"
    with (
        EmulatedBoard(build("echo.c"), link=link) as one,
        EmulatedBoard(build("echo.c"), mode="counting") as two,
        open_port(one) as first,
        open_port(two) as second,
    ):
        assert link.resolve() == Path(one.port)
        assert one.port != two.port
        first.write(b"to the first")
        second.write(b"to the second")
        assert first.read(12) == b"to the first"
        assert second.read(13) == b"to the second"
    assert not link.is_symlink()


def test_a_handled_fault_is_reported_and_the_board_lives(build: Build) -> None:
    heard: list[EmulatorRefusal] = []
    elf = build("fault_on_byte.c")
    with EmulatedBoard(elf, on_refusal=heard.append) as board, open_port(board) as port:
        port.write(b"x")  # not before the port is open: pyserial discards what came earlier
        assert port.read(4) == b"FALT"
        assert len(port.read(28)) == 28
        board.check()
        wait_until(lambda: bool(heard))
        (refusal,) = board.refusals
    assert refusal in heard
    assert refusal.function.startswith("probe")
    assert "0x60000000" in refusal.what


def test_the_diagnosis_of_a_board_that_stopped(build: Build) -> None:
    with EmulatedBoard(build("void probe(void) { GPIOD_MODER = 0; }")) as board:
        wait_until_gone(process_id(board))
        with pytest.raises(StqError, match="GPIOD_MODER is touched while the clock of GPIOD is off") as caught:
            board.check()
    assert "(probe" in caught.value.where
    assert "RCC_AHB4ENR" in caught.value.cause


def test_what_a_library_prints_before_it_aborts_is_told(build: Build) -> None:
    with EmulatedBoard(build("echo.c")) as board:
        board._on_line("tcg.c:547 assertion failed\n")
        os.kill(process_id(board), signal.SIGKILL)
        with pytest.raises(StqError, match="stopped unexpectedly") as caught:
            board.check(patience=30)
    assert caught.value.cause == "tcg.c:547 assertion failed"


def test_a_core_can_be_stopped_from_the_moment_it_is_there() -> None:
    """As `Machine.stop` does when a board is stopped in the middle of a reset. What fails aborts the process."""
    code = (
        "import threading; from stq_deploy.targets.emulator.core import Core\n"
        "for _ in range(40):\n"
        "    core = Core(); other = threading.Thread(target=core.uc.emu_stop); other.start()\n"
        "    core.uc.mem_map(0, 0x10000); other.join()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_baud_rate_on_the_host(build: Build) -> None:
    with EmulatedBoard(build("echo.c")) as board, open_port(board, 115_200) as port:
        port.write(b"x")
        wait_until_gone(process_id(board))
        with pytest.raises(StqError, match="927536 baud, the host's port at 115200"):
            board.check()


def test_it_ends_with_the_context_and_with_an_exception(build: Build) -> None:
    pids = []
    with pytest.raises(KeyboardInterrupt), EmulatedBoard(build("echo.c")) as board:
        pids.append(process_id(board))
        raise KeyboardInterrupt
    board.stop()
    endless = build("void probe(void) { for (;;) {} }")
    with EmulatedBoard(endless) as board:
        pids.append(process_id(board))
    for pid in pids:
        wait_until_gone(pid)
    with pytest.raises(StqError):
        board.check()


def test_it_ends_with_its_parent(build: Build) -> None:
    code = (
        "import sys, time; from pathlib import Path; from stq_deploy.targets.emulator.process import EmulatedBoard\n"
        "board = EmulatedBoard(Path(sys.argv[1])).start(); print(board._process.pid, flush=True); time.sleep(60)"
    )
    elf = build("void probe(void) { for (;;) {} }")
    parent = subprocess.Popen([sys.executable, "-c", code, str(elf)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until_gone(pid)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the program"),
        (b"", "not an ELF file"),
        (b"\x7fELF" + bytes(60), "not an ELF file|not a program"),
        ("cut", "cut off|not an ELF file"),
        ("x86", "not a program for a 32-bit little-endian Arm core"),
        ("elsewhere", "outside of the board's flash"),
    ],
)
def test_programs_it_cannot_run(content: bytes | str | None, message: str, tmp_path: Path, build: Build) -> None:
    elf = tmp_path / "program.elf"
    good = bytearray(build("echo.c").read_bytes())
    match content:
        case bytes():
            elf.write_bytes(content)
        case "cut":
            elf.write_bytes(good[: len(good) // 2])
        case "x86":
            good[0x12:0x14] = (3).to_bytes(2, "little")
            elf.write_bytes(good)
        case "elsewhere":
            table = int.from_bytes(good[0x1C:0x20], "little")
            good[table + 12 : table + 16] = (0x2400_0000).to_bytes(4, "little")
            elf.write_bytes(good)
    with pytest.raises(StqError, match=message):
        EmulatedBoard(elf).start()


def test_damaged_programs_are_errors_for_people(tmp_path: Path, build: Build) -> None:
    """Headers, section and symbol tables with random bytes in them: loaded or refused, never a crash."""
    good = build("echo.c").read_bytes()
    memories = load_board("stm32h743").memory
    refused = 0
    for seed in range(150):
        noise = random.Random(seed)
        data = bytearray(good)
        for _ in range(noise.randint(1, 12)):
            at = noise.choice([noise.randrange(0x80), noise.randrange(len(data) - 3000, len(data))])
            data[at] = noise.randrange(256)
        elf = tmp_path / "damaged.elf"
        elf.write_bytes(data[: noise.randrange(len(data))] if seed % 5 == 0 else data)
        try:
            load_program(elf, memories).instructions()
        except StqError:
            refused += 1
    assert 20 < refused < 150


def test_unknown_board_and_revision(build: Build) -> None:
    with pytest.raises(StqError, match="no board 'arduino'"):
        EmulatedBoard(build("echo.c"), board="arduino").start()
    with pytest.raises(StqError, match="no silicon revision 'Q'"):
        EmulatedBoard(build("echo.c"), revision="Q").start()


def test_interrupting_the_process_itself_ends_it(build: Build) -> None:
    command = [
        sys.executable,
        "-m",
        "stq_deploy.targets.emulator",
        "--board",
        "stm32h743",
        "--elf",
        str(build("echo.c")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert '"event": "ready"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 0
    process.stdout.close()


def test_emulate_command_prints_the_port_and_stops_at_ctrl_c(build: Build) -> None:
    command = [sys.executable, "-m", "stq_deploy", "emulate", str(build("echo.c")), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "}\n")
    port = json.loads("".join(lines) + "}")["port"]
    with serial.Serial(port, BAUD, timeout=PATIENCE_SECONDS) as opened:
        opened.write(b"hello")
        assert opened.read(5) == b"hello"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_emulate_command_says_why_the_board_stopped(build: Build) -> None:
    command = [sys.executable, "-m", "stq_deploy", "emulate", str(build("void probe(void) { GPIOD_MODER = 0; }"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("/dev/")
    assert "GPIOD_MODER is touched while the clock of GPIOD is off" in done.stderr
    assert "Traceback" not in done.stderr
