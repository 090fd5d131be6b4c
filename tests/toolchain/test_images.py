"""BIN and HEX: against values worked out by hand, against a reader written here, and against objcopy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.elf import Image, Section, read_image
from stq_deploy.toolchain.images import binary, intel_hex


def image(*parts: tuple[int, bytes], entry: int = 0x0800_0299) -> Image:
    sections = tuple(Section(f".s{i}", at, at, len(content), content) for i, (at, content) in enumerate(parts))
    return Image(sections, (), entry)


def read_hex(text: str) -> tuple[dict[int, int], int | None]:
    """Bytes by address, and the start address; checks every record's length and checksum."""
    memory: dict[int, int] = {}
    base, start, ended = 0, None, False
    for line in text.splitlines():
        assert line[0] == ":" and not ended
        record = bytes.fromhex(line[1:])
        assert len(record) == record[0] + 5 and sum(record) % 256 == 0
        address, kind, content = int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 0:
            for i, byte in enumerate(content):
                assert address + i <= 0xFFFF
                assert base + address + i not in memory
                memory[base + address + i] = byte
        elif kind == 1:
            ended = True
        elif kind == 4:
            base = int.from_bytes(content, "big") << 16
        elif kind in (3, 5):
            start = int.from_bytes(content, "big")
        else:
            raise AssertionError(f"record type {kind}")
    assert ended
    return memory, start


def test_a_hex_file_worked_out_by_hand() -> None:
    assert intel_hex(image((0x0800_0000, b"\x00\x24\x00\x20"))) == (
        ":020000040800F2\n:0400000000240020B8\n:0400000508000299" + "54\n:00000001FF\n"
    )


def test_a_gap_is_filled_as_erased_flash() -> None:
    assert binary(image((0x0800_0000, b"ab"), (0x0800_0005, b"c"))) == (0x0800_0000, b"ab\xff\xff\xffc")


def test_what_is_not_programmed_is_left_out() -> None:
    both = Image((*image((0x0800_0000, b"ab")).sections, Section(".bss", 0x2000_0000, 0x2000_0000, 9, None)), (), 0)
    assert binary(both) == (0x0800_0000, b"ab")
    assert len(read_hex(intel_hex(both))[0]) == 2


@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=70)), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_hex_and_bin_hold_the_same_bytes(parts: list[tuple[int, bytes]], entry: int) -> None:
    placed: list[tuple[int, bytes]] = []
    at = 0x0800_FFF0 - 20
    for gap, content in parts:  # one behind the other, across several 64 KiB borders
        placed.append((at + gap, content))
        at += gap + len(content)
    made = image(*placed, entry=entry)
    memory, start = read_hex(intel_hex(made))
    first, raw = binary(made)
    assert start == entry
    assert memory == {address + i: byte for address, content in placed for i, byte in enumerate(content)}
    assert all(raw[address - first] == byte for address, byte in memory.items())
    assert raw.count(0xFF) >= len(raw) - len(memory)


def test_against_objcopy(built: BuiltFirmware, tmp_path: Path) -> None:
    objcopy = shutil.which("arm-none-eabi-objcopy")
    if not objcopy:
        pytest.skip("arm-none-eabi-objcopy is not installed")
    for kind, extra in (("binary", ["--gap-fill", "0xff"]), ("ihex", [])):
        target = tmp_path / kind
        command = [objcopy, "-O", kind, *extra, str(built.elf), str(target)]
        subprocess.run(command, check=True, timeout=60)
    assert built.bin.read_bytes() == (tmp_path / "binary").read_bytes()
    assert read_hex(built.hex.read_text()) == read_hex((tmp_path / "ihex").read_text())


def test_data_is_programmed_in_flash_and_lives_in_ram(built: BuiltFirmware) -> None:
    data = next(s for s in read_image(built.elf).sections if s.name == ".data")
    assert data.address >> 24 == 0x20
    assert data.load_address >> 24 == 0x08
