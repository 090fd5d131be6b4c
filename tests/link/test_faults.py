"""Registers in words."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from stq_deploy.targets.link.faults import BoardFault, parse_fault
from stq_deploy.targets.link.messages import AnswerError
from stq_deploy.targets.link.symbols import locate_in_elf

NAMES = (
    *("r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr", "sp", "exc_return", "exception"),
    *("cfsr", "hfsr", "mmfar", "bfar", "layer"),
)


def record(**registers: int) -> bytes:
    values = dict.fromkeys(NAMES, 0) | registers
    return struct.pack("<15Ii", *values.values())


def test_every_register_has_its_place() -> None:
    fault = parse_fault(struct.pack("<16I", *range(100, 116)))
    assert [getattr(fault, name) for name in NAMES] == list(range(100, 116))
    assert parse_fault(record(layer=-1)).layer == -1


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_record_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(AnswerError):
        parse_fault(bytes(length))


@pytest.mark.parametrize(
    ("cfsr", "hfsr", "words"),
    [
        (1 << 0, 0, ["IACCVIOL"]),
        (1 << 1 | 1 << 7, 0, ["DACCVIOL", "at address 0x11111111"]),
        (1 << 4, 0, ["MSTKERR"]),
        (1 << 9 | 1 << 15, 0, ["PRECISERR", "at address 0x22222222"]),
        (1 << 10, 1 << 30, ["IMPRECISERR"]),
        (1 << 16, 1 << 30, ["UNDEFINSTR"]),
        (1 << 19, 0, ["NOCP"]),
        (1 << 24, 0, ["UNALIGNED"]),
        (1 << 25, 0, ["DIVBYZERO"]),
        (0, 1 << 1, ["VECTTBL"]),
        (0, 0, []),
    ],
)
def test_the_status_bits_in_words(cfsr: int, hfsr: int, words: list[str]) -> None:
    reasons = parse_fault(record(cfsr=cfsr, hfsr=hfsr, mmfar=0x11111111, bfar=0x22222222)).reasons
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))


def test_a_fault_names_layer_and_functions() -> None:
    fault = parse_fault(record(pc=0x08000100, lr=0x08000203, exception=6, layer=2))
    error = BoardFault(fault, where="port", locate={0x08000100: "kernel"}.get, layer_names=["a", "b", "conv"])
    assert str(error).startswith(
        "port: the firmware crashed with a UsageFault in layer 2 (conv), at 0x08000100 (kernel), "
        "called from 0x08000202\n"
    )
    assert "in layer 2," in str(BoardFault(fault, where="port", layer_names=["a"]))
    assert "name no reason" in str(error)


def test_functions_are_found_in_an_elf(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc to make an ELF")
    (tmp_path / "a.c").write_text("int first(int x) { return x * 3; }\nint second(int x) { return x - 9; }\n")
    subprocess.run(["gcc", "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    locate = locate_in_elf(tmp_path / "a.o")
    assert locate(0) == "first + 0x0"
    assert locate(2) == "first + 0x2"
    found = [locate(address) for address in range(64)]
    assert any(name and name.startswith("second") for name in found)
    assert found[-1] is None


def test_trouble_with_the_elf_hides_no_crash(tmp_path: Path) -> None:
    (tmp_path / "no.elf").write_bytes(b"\x7fELF but no more")
    assert locate_in_elf(tmp_path / "no.elf")(0) is None
    assert locate_in_elf(tmp_path / "absent.elf")(0) is None
