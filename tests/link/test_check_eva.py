"""The comparison that `tools/check_eva` makes: what EVA says is read whole, and every explanation is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_eva import Alarm, read_alarms, read_explained

REPORT = """\
[eva] starting to merge loop iterations
[eva:alarm] some/where/stq_cobs.c:17: Warning: 
  out of bounds write. assert \\valid(to + code_at);
[eva:alarm] some/where/stq_cobs.c:21: Warning: 
  out of bounds write. assert \\valid(to + tmp_1);
                       (tmp_1 from written++)
[eva:alarm] some/where/stq_cobs.c:25: Warning: 
  out of bounds write. assert \\valid(to + code_at);
[eva:alarm] board.c:22: Warning: assertion 'whole' got status unknown.
[eva] board.c:21: cannot properly split
"""  # noqa: W291


def test_alarms_are_read_without_their_lines() -> None:
    assert read_alarms(REPORT) == {
        Alarm("stq_cobs.c", r"out of bounds write. assert \valid(to + code_at);"),
        Alarm("stq_cobs.c", r"out of bounds write. assert \valid(to + tmp_1); (tmp_1 from written++)"),
        Alarm("board.c", "assertion 'whole' got status unknown."),
    }


def test_every_explanation_is_of_a_file_of_the_link() -> None:
    assert {alarm.file for alarm in read_explained()} <= {
        "stq_bytes.h", "stq_cobs.c", "stq_crc32.c", "stq_requests.c", "eva_board.c"
    }  # fmt: skip


def test_an_entry_without_an_explanation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alarms.toml"
    path.write_text('[[alarm]]\nfile = "a.c"\nsays = "x"\nwhy = " "\n')
    with pytest.raises(ValueError, match="without an explanation"):
        read_explained(path)
