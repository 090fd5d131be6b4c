"""The process that reads model files: its limits, its death, and answers that are none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.sandbox import Unusable, process
from stq_deploy.sandbox.process import FRAME
from tests.helpers.frontend.keras_contents import read_contents
from tests.helpers.model_files import tiny_model

HANGS = Path(__file__).parent.parent / "frontend" / "corpus" / "found_heap_without_end.h5"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return tiny_model().save_h5(tmp_path / "m.h5").read_bytes()


def running() -> subprocess.Popen[bytes]:
    found = process._READER._process
    assert found is not None
    return found


def test_a_file_that_the_library_reads_without_end(content: bytes) -> None:
    start = time.monotonic()
    with pytest.raises(Unusable, match="takes too long"):
        read_contents(HANGS.read_bytes())
    assert time.monotonic() - start < 20  # 1.5 s of processor time, on a computer that does more than this
    before = running().pid
    assert read_contents(content).arrays
    assert running().pid == before


def test_death_of_the_process_is_an_error_and_the_next_file_starts_another(content: bytes) -> None:
    read_contents(content)
    running().kill()
    running().wait()
    with pytest.raises(StqError, match="has ended") as caught:
        read_contents(content)
    assert "stq_deploy.sandbox" in caught.value.next
    assert read_contents(content).arrays


def test_a_fork_has_a_process_of_its_own(content: bytes) -> None:
    read_contents(content)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if read_contents(content).arrays else 1
            process._READER.stop()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert read_contents(content).arrays


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ("open('/dev/null')", "OSError"),
        ("socket.socket()", "OSError"),
        ("(os.write(file, b'x'), os._exit(9))", "SIGXFSZ"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("[0 for _ in iter(int, 1)]", "SIGPROF"),
        ("os.read(0, 1)", "b''"),
    ],
)
def test_what_a_child_may_do(attempt: str, expected: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, socket, sys\n"
        "from stq_deploy.sandbox.__main__ import limit_time, restrict\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        f"file = os.open({str(tmp_path / 'out')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "answer = os.dup(1)\n"
        "restrict()\n"
        "limit_time(0)\n"
        f"try:\n    found = repr({attempt})\nexcept BaseException as error:\n    found = type(error).__name__\n"
        "os.write(answer, found.encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, input=b"secret", check=False, timeout=60
    )
    found = signal.Signals(-done.returncode).name if done.returncode < 0 else done.stdout.decode()
    assert found == expected
    assert (tmp_path / "out").read_bytes() == b""


def answer(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return FRAME.pack(len(text)) + text + data


def test_an_answer() -> None:
    header = {
        "config": "{}",
        "facts": {},
        "listed": {},
        "arrays": {"a": {"shape": [2, 1], "type": "<f4", "at": 4}, "b": {"problem": "is odd"}},
    }
    found = process._parsed(answer(header, np.arange(3, dtype="<f4").tobytes()))
    assert np.array_equal(found.arrays["a"], [[1], [2]])
    assert found.arrays["b"] == "is odd"
    with pytest.raises(ValueError, match="read-only"):
        found.arrays["a"][0] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        FRAME.pack(10) + b"{}",
        answer(7),
        answer({}),
        answer({"config": "", "facts": {}, "listed": [], "arrays": {}}),
        answer({"config": "", "facts": [], "listed": {}, "arrays": {}}),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [1], "type": "|O", "at": 0}}},
            b"12345678",
        ),
        answer({"config": "", "facts": {}, "listed": {}, "arrays": {"a": 7}}),
        answer({"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [2], "type": "<f4", "at": 0}}}),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [1], "type": "<f4", "at": 4}}}, b"1234"
        ),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [-1], "type": "<f4", "at": 0}}}, b"1234"
        ),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": "x", "type": "<f4", "at": 0}}}, b"1234"
        ),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [1], "type": "<f4", "at": -4}}}, b"1234"
        ),
        answer(
            {"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [0.5, 2], "type": "<f4", "at": 0}}},
            b"1234",
        ),
    ],
)
def test_answers_that_are_none(wrong: bytes) -> None:
    with pytest.raises(Unusable):
        process._parsed(wrong)


@given(st.binary(max_size=64), st.booleans())
def test_noise_is_no_answer(noise: bytes, framed: bool) -> None:
    """Even framed, so few random bytes are not the JSON of an answer."""
    with pytest.raises(Unusable):
        process._parsed(FRAME.pack(len(noise)) + noise if framed else noise)


DATA = np.arange(6, dtype="<f4").tobytes()
_SCALARS = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers() | st.integers(-9, 30)
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))
_NUMBERS = st.integers(-1, 7) | st.sampled_from([2**31, 2**63, 10**30, -(10**30)])
_PLACES = st.fixed_dictionaries(
    {"shape": st.lists(_NUMBERS, max_size=3), "type": st.sampled_from(["<f4", "|O"]), "at": _NUMBERS}
)
_ENTRIES = _PLACES | st.fixed_dictionaries({"problem": _ANYTHING}) | _ANYTHING
_LISTS = st.dictionaries(st.text(max_size=2), st.lists(st.text(max_size=2), max_size=2))
_HEADERS = st.fixed_dictionaries(
    {
        "config": st.text(max_size=5),
        "facts": st.just({}),
        "listed": _LISTS,
        "arrays": st.dictionaries(st.text(max_size=2), _ENTRIES),
    }
)


@given(_HEADERS | _ANYTHING)
@example({"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [10**30], "type": "<f4", "at": 0}}})
@example({"config": "", "facts": {}, "listed": {}, "arrays": {"a": {"shape": [1], "type": "<f4", "at": 10**30}}})
def test_an_answer_holds_what_it_states_or_is_refused(header: Any) -> None:
    try:
        found = process._parsed(answer(header, DATA))
    except Unusable:
        return
    assert found.config == header["config"]
    assert found.listed == header["listed"]
    assert found.arrays.keys() == header["arrays"].keys()
    for path, array in found.arrays.items():
        stated = header["arrays"][path]
        if isinstance(array, str):
            assert array == str(stated["problem"])
        else:
            assert array.shape == tuple(stated["shape"])
            assert not array.flags.writeable
            assert array.tobytes() == DATA[stated["at"] : stated["at"] + 4 * array.size]


_INTERRUPTED_AT_ITS_END = """
import os, signal
from stq_deploy.sandbox import process
child = process._READER._running()
kill = child.kill
child.kill = lambda: (os.kill(os.getpid(), signal.SIGINT), kill())
"""


def test_ctrl_c_while_the_command_ends_shows_no_traceback() -> None:
    command = [sys.executable, "-c", _INTERRUPTED_AT_ITS_END]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
