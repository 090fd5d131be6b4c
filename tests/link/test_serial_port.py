"""The whole way over a pty: pyserial, the operating system, and the server as a sanitized process."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.faults import BoardFault
from stq_deploy.targets.link.problems import SilentBoardError
from stq_deploy.targets.link.serial_port import open_serial
from stq_deploy.targets.link.session import Session
from stq_deploy.targets.link.timeouts import Timeouts
from stq_deploy.targets.link.trace import TracingTransport
from tests.helpers.link.simulated_board import expected_logits, random_samples

StartBoard = Callable[..., AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]]

SAMPLES = random_samples(60)
LOGITS = np.array([expected_logits(sample) for sample in SAMPLES])
BRIEF = Timeouts(hello=0.1, hello_attempts=2, write=1.0)


@contextlib.contextmanager
def pty() -> Iterator[tuple[int, str]]:
    """A pty's master, and the path of its slave, raw as a serial line."""
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        with contextlib.suppress(OSError):
            os.close(master)


@pytest.fixture
def start_board(board_program: Path) -> StartBoard:
    @contextlib.contextmanager
    def start(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        with pty() as (master, path):
            command = [board_program, str(master), *arguments]
            with subprocess.Popen(command, pass_fds=[master], stderr=subprocess.PIPE) as board:
                try:
                    yield path, board
                finally:
                    board.kill()
                    assert board.stderr is not None
                    assert board.stderr.read() == b""  # nor did a sanitizer complain

    return start


def test_inference_over_a_pty(start_board: StartBoard) -> None:
    with start_board() as (path, _), Session(open_serial(path, 921_600)) as session:
        results = list(session.infer(SAMPLES, crcs=True, layer_cycles=True))
        assert (np.array([result.logits for result in results]) == LOGITS).all()
        assert session.counters().inferences == len(SAMPLES)
        assert session.layer_output(SAMPLES[0], 2) == LOGITS[0].tobytes()
        assert session.statistics.retries == 0
        session.reset_board()
        assert session.counters().inferences == 0
        assert [r.top1 for r in session.infer(SAMPLES[:4])] == LOGITS[:4].argmax(1).tolist()


def test_a_program_killed_and_started_again_goes_on(start_board: StartBoard) -> None:
    with start_board() as (path, _):
        for stop_after in (0, 1, 5):
            with Session(open_serial(path, 921_600)) as session:
                for _ in zip(range(stop_after), session.infer(SAMPLES), strict=False):
                    pass
        with Session(open_serial(path, 921_600)) as session:
            assert [r.logits.tolist() for r in session.infer(SAMPLES)] == LOGITS.tolist()


def test_a_crash_on_the_board(start_board: StartBoard) -> None:
    with (
        start_board("fault") as (path, _),
        Session(open_serial(path, 921_600), layer_names=["one"]) as session,
    ):
        with pytest.raises(BoardFault, match=r"crashed with a BusFault in layer 0 \(one\)") as caught:
            list(session.infer(SAMPLES))
        assert "at address 0x60000000" in str(caught.value)
        session.open()  # it has started again, and does not crash any more
        assert [r.logits.tolist() for r in session.infer(SAMPLES)] == LOGITS.tolist()


def test_garbage_in_every_size_leaves_the_board_answering(start_board: StartBoard) -> None:
    random = np.random.default_rng(3)
    with start_board() as (path, board), contextlib.closing(open_serial(path, 921_600)) as port:
        for size in (1, 13, 254, 255, 1299, 1300, 3000):
            for _ in range(4):
                port.write(random.bytes(size))
                while port.read(0):
                    pass
        session = Session(port)
        session.open()
        assert [r.logits.tolist() for r in session.infer(SAMPLES[:3])] == LOGITS[:3].tolist()
        assert session.counters().damaged > 0
        assert board.poll() is None


def test_a_board_that_goes_away_is_told(start_board: StartBoard) -> None:
    with start_board() as (path, board):
        session = Session(open_serial(path, 921_600), timeouts=Timeouts(first_answer=0.05, attempts=2))
        session.open()
        results = session.infer(SAMPLES)
        next(results)
        board.kill()
        with pytest.raises(SilentBoardError, match="stopped answering"):
            list(results)


def test_a_port_that_goes_away_is_told() -> None:
    with pty() as (master, path), contextlib.closing(open_serial(path, 921_600)) as port:
        os.close(master)
        with pytest.raises(StqError, match="the port failed") as caught:
            for _ in range(100):
                port.read(0)
        assert caught.value.where == path


def test_a_closed_port_is_told() -> None:
    with pty() as (_, path):
        port = open_serial(path, 921_600)
        port.close()
        port.close()
        with pytest.raises(StqError, match="the port failed"):
            port.read(0)
        with pytest.raises(StqError, match="the port failed"):
            port.write(b"x")


def test_a_port_that_takes_no_bytes_is_told() -> None:
    with (
        pty() as (_, path),
        contextlib.closing(open_serial(path, 921_600, timeouts=BRIEF)) as port,
        pytest.raises(StqError, match="did not take 500000 bytes in 1 s"),
    ):
        port.write(bytes(500_000))


def test_an_unanswering_port_is_told() -> None:
    with (
        pty() as (_, path),
        contextlib.closing(open_serial(path, 921_600)) as port,
        pytest.raises(SilentBoardError, match=r"2 attempts, 0\.1 s each"),
    ):
        Session(port, timeouts=BRIEF).open()


def test_an_absent_port_is_told() -> None:
    with pytest.raises(StqError, match="no such serial port") as caught:
        open_serial("/dev/ttyNOWHERE7", 921_600)
    assert "boards --connected" in caught.value.next


def test_a_busy_port_is_told() -> None:
    with (
        pty() as (_, path),
        contextlib.closing(open_serial(path, 921_600)),
        pytest.raises(StqError, match="in use by another program"),
    ):
        open_serial(path, 921_600)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(StqError, match="cannot open the serial port at 921600 baud"):
        open_serial(str(file), 921_600)


def test_a_malformed_url_is_told() -> None:
    with pytest.raises(StqError, match="cannot open the serial port"):
        open_serial("nonsense://x", 921_600)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_missing_permission_is_told(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Simulated: the tests may run as root, who is permitted everything."""
    import serial

    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(number, os.strerror(number))

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(StqError, match="no permission") as caught:
        open_serial("/dev/ttyACM0", 921_600)
    assert "dialout" in caught.value.next


def test_a_trace_shows_every_byte(start_board: StartBoard) -> None:
    lines: list[str] = []
    with (
        start_board() as (path, _),
        Session(TracingTransport(open_serial(path, 921_600), lines.append)) as session,
    ):
        list(session.infer(SAMPLES[:1]))
    shown = {"write": b"", "read": b""}
    for line in lines:
        if line.startswith("TRACE"):
            verb = line.split()[2]
        else:
            shown[verb] += bytes.fromhex(line[8:56])
    assert len(shown["write"]) == session.statistics.bytes_sent
    assert len(shown["read"]) == session.statistics.bytes_received
    assert "terminal" in "".join(line[58:-1] for line in lines)  # the board's name, as text
