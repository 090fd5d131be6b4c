"""Untrusted files are opened once: only regular ones, and an interrupt stays an interrupt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.regular_file import open_regular, read_regular


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert read_regular(tmp_path / "f", 9) == b"12345"
    assert read_regular(tmp_path / "f", 3) == b"1234"


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "absent"])
def test_anything_else_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x" if kind != "device" else Path("/dev/zero")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    expected = {"folder": IsADirectoryError, "absent": FileNotFoundError}.get(kind, StqError)
    before = _open_files()
    with pytest.raises(expected):
        open_regular(path)
    assert _open_files() == before


def test_an_interrupt_is_neither_hidden_nor_leaves_the_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"1")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def close_and_interrupt(descriptor: int, *_: object) -> None:
        os.close(descriptor)  # as a file object does that is dropped while it is made
        raise KeyboardInterrupt

    before = _open_files()
    for name, stand_in in (("fstat", interrupt), ("fdopen", interrupt), ("fdopen", close_and_interrupt)):
        with monkeypatch.context() as patch:
            patch.setattr(f"stq_deploy.common.regular_file.os.{name}", stand_in)
            with pytest.raises(KeyboardInterrupt):
                open_regular(tmp_path / "f")
        assert _open_files() == before
