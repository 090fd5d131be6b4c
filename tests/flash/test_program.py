"""Everything that can go wrong between `flash` and the chip is its own clear error; nothing hangs."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.flash import pyocd as pyocd_module
from stq_deploy.targets.flash.program import flash_board
from tests.helpers.fake_pyocd import NUCLEO, OTHER, FakePyocd, probes

BOARD = load_board("stm32h743")
Built = Callable[..., Path]


def port(device: str, vid: int | None, serial_number: str | None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, serial_number=serial_number, description="a port")


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What pyserial finds: the computer's own port, another vendor's, another board's, and the board's."""
    found = [
        port("/dev/ttyS0", None, None),
        port("/dev/ttyUSB0", 0x0403, NUCLEO),
        port("/dev/ttyACM1", 0x0483, OTHER),
        port("/dev/ttyACM0", 0x0483, NUCLEO),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)
    return found


def test_writes_through_the_only_probe_and_finds_its_port(pyocd: FakePyocd, built: Built) -> None:
    folder = built()
    done = flash_board(BOARD, folder)
    assert (done.probe.uid, done.port, done.build_id) == (NUCLEO, "/dev/ttyACM0", "00ff" * 8)
    load = pyocd.calls()[-1]
    assert load[0] == "load" and load[-1] == str(folder / "firmware.elf")
    assert "--no-wait" in load
    assert load[load.index("--uid") + 1] == NUCLEO
    assert load[load.index("--target") + 1] == "stm32h743xx"


def test_no_port_with_the_probes_serial_number(pyocd: FakePyocd, built: Built, ports: list[SimpleNamespace]) -> None:
    del ports[3]
    assert flash_board(BOARD, built()).port is None


@pytest.mark.parametrize("asked", [OTHER, OTHER.lower(), OTHER[-6:]])
def test_chooses_the_probe_asked_for(pyocd: FakePyocd, built: Built, asked: str) -> None:
    pyocd.answer("json", stdout=probes(NUCLEO, OTHER))
    assert flash_board(BOARD, built(), asked).probe.uid == OTHER
    assert OTHER in pyocd.calls()[-1]


@pytest.mark.parametrize(
    ("connected", "asked", "told"),
    [
        ((), None, "no debug probe is connected"),
        ((), NUCLEO, "no debug probe is connected"),
        ((NUCLEO,), "999", "no connected probe is '999'"),
        ((NUCLEO, OTHER), None, "2 debug probes are connected"),
        ((NUCLEO, OTHER), "FF", "2 debug probes are connected that match 'FF'"),
    ],
)
def test_no_or_several_probes(
    pyocd: FakePyocd, built: Built, connected: tuple[str, ...], asked: str | None, told: str
) -> None:
    pyocd.answer("json", stdout=probes(*connected))
    with pytest.raises(StqError, match=told) as caught:
        flash_board(BOARD, built(), asked)
    for uid in connected:
        assert uid in caught.value.next
    assert [call[0] for call in pyocd.calls()] == ["json"]


@pytest.mark.parametrize(
    ("said", "what", "cause"),
    [
        (
            "0000911 C Error: IDC.DEV_ID 0x483 did not match expected. 0x450 [__main__]",
            "another one (device id 0x483)",
            "wired to another board",
        ),
        (
            "0002355 C flash erase sector failure (address 0x08000000; result code 0x1) [__main__]",
            "flash erase sector failure (address 0x08000000",
            "protected",
        ),
        (
            "0002355 C flash program page failure (address 0x08000400; result code 0x1)",
            "written",
            "protected",
        ),
        ("0002355 C flash init timed out [__main__]", "flash init timed out", "protected"),
        ("0001029 C Memory transfer fault (read) @ 0x08000000-0x080003ff", "does not let", "locked"),
        ("0000400 C STLink error (5): No device connected [__main__]", "sees no chip", "no power"),
        ("0000400 C STLink error (9): Get IDCODE error [__main__]", "sees no chip", "no power"),
        ("0000300 C USB Error: [Errno 16] Resource busy", "cannot be opened", "another program"),
        ("0000300 C USB Error: [Errno 13] Access denied (insufficient permissions)", "opened", "may not"),
        (
            "No connected debug probe matches unique ID '066C'\n0000736 E No target device available",
            "away",
            "",
        ),
        ("0000300 C Target type stm32h743xx not recognized. Use 'pyocd list'", "does not know", "version"),
        ("0000300 C something never seen", "pyocd failed: 0000300 C something never seen", ""),
        ("", "pyocd failed: without a word", ""),
    ],
)
def test_what_pyocd_says_is_explained(pyocd: FakePyocd, built: Built, said: str, what: str, cause: str) -> None:
    pyocd.answer("load", stderr=said, code=1)
    with pytest.raises(StqError) as caught:
        flash_board(BOARD, built())
    assert what in caught.value.what
    assert cause in caught.value.cause
    assert caught.value.next
    assert NUCLEO in caught.value.where


def test_nothing_waits_for_ever(pyocd: FakePyocd, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyocd_module, "PROGRAM_TIMEOUT_S", 0.3)
    pyocd.answer("load", seconds=60)
    started = time.monotonic()
    with pytest.raises(StqError, match="did not finish writing the flash"):
        flash_board(BOARD, built())
    assert time.monotonic() - started < 10


def test_pyocd_missing(built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StqError, match="pyocd, which writes the flash, is not installed") as caught:
        flash_board(BOARD, built())
    assert "pip install" in caught.value.next


@pytest.mark.parametrize(
    "answer",
    ["", "Traceback (most recent call last)", "[]", '{"status": 0}', '{"status": 0, "boards": [{}]}'],
)
def test_an_unreadable_list_of_probes(pyocd: FakePyocd, built: Built, answer: str) -> None:
    pyocd.answer("json", stdout=answer)
    with pytest.raises(StqError, match="list of probes cannot be read"):
        flash_board(BOARD, built())


def test_pyocd_reports_its_own_error(pyocd: FakePyocd, built: Built) -> None:
    pyocd.answer("json", stdout=json.dumps({"status": 1, "error": "no libusb", "boards": []}))
    with pytest.raises(StqError, match="cannot list the probes: no libusb"):
        flash_board(BOARD, built())


def test_a_board_that_exists_only_as_an_emulation(pyocd: FakePyocd, built: Built) -> None:
    with pytest.raises(StqError, match="'mps2-an500' exists only as an emulation: there is nothing to flash") as caught:
        flash_board(load_board("mps2-an500"), built("mps2-an500"))
    assert "--emulated" in caught.value.next
    assert pyocd.calls() == []


def test_nothing_built_yet(pyocd: FakePyocd, tmp_path: Path) -> None:
    with pytest.raises(StqError, match="nothing has been built here") as caught:
        flash_board(BOARD, tmp_path / "absent")
    assert "stq-deploy build --board stm32h743" in caught.value.next
    assert pyocd.calls() == []


def test_built_for_another_board(pyocd: FakePyocd, built: Built) -> None:
    with pytest.raises(StqError, match="built for 'other', not for 'stm32h743'"):
        flash_board(BOARD, built("other"))
    assert pyocd.calls() == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"board": "stm32h743"}'])
def test_a_damaged_build(pyocd: FakePyocd, built: Built, content: str) -> None:
    folder = built()
    (folder / "build.json").write_text(content)
    with pytest.raises(StqError, match="the build cannot be read"):
        flash_board(BOARD, folder)


def test_a_build_without_its_firmware(pyocd: FakePyocd, built: Built) -> None:
    folder = built()
    (folder / "firmware.elf").unlink()
    with pytest.raises(StqError, match=r"lacks its firmware\.elf"):
        flash_board(BOARD, folder)


def test_command_prints_one_json_object(pyocd: FakePyocd, built: Built) -> None:
    done = CliRunner().invoke(cli, ["flash", "--out", str(built()), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"build_id": "00ff" * 8, "probe": NUCLEO, "port": "/dev/ttyACM0"}


def test_command_fails_without_a_traceback(pyocd: FakePyocd, built: Built) -> None:
    pyocd.answer("json", stdout=probes())
    done = CliRunner().invoke(cli, ["flash", "--out", str(built())])
    assert done.exit_code == 1
    assert "no debug probe is connected" in done.stderr
    assert "Traceback" not in done.output


def test_connected_boards_pair_probes_with_ports(pyocd: FakePyocd) -> None:
    pyocd.answer("json", stdout=probes(NUCLEO, "AAAA"))
    done = CliRunner().invoke(cli, ["boards", "--connected", "--json"])
    rows = {(row["probe"], row["port"]) for row in json.loads(done.stdout)["connected"]}
    assert rows == {(NUCLEO, "/dev/ttyACM0"), ("", "/dev/ttyACM1"), ("AAAA", "")}


def test_connected_boards_without_pyocd_still_lists_ports(pyocd: FakePyocd, monkeypatch: pytest.MonkeyPatch) -> None:
    pyocd.answer("json", stdout="", code=1)
    done = CliRunner().invoke(cli, ["boards", "--connected", "--json"])
    ports = [row["port"] for row in json.loads(done.stdout)["connected"]]
    assert ports == ["/dev/ttyACM0", "/dev/ttyACM1"]
    assert "Probes are not listed" in done.stderr
