"""The few things we know of the Thumb-2 encoding, against GNU binutils."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.instructions import (
    ALWAYS,
    Division,
    WordAccess,
    accessed_address,
    condition_holds,
    count_instructions,
    division,
    is_wide,
    unmasks_interrupts,
    uses_fpu,
    walk,
    word_access,
)
from stq_deploy.targets.emulator.program import load_program
from tests.helpers.emulator.bench import disassembler

# Encodings by GNU as 2.40.
WORD_ACCESSES = {
    "ldmia r3!, {r0, r1}": (0xCB03, 0, WordAccess(3, 0)),
    "ldmia.w r5, {r0, r8}": (0xE895, 0x0101, WordAccess(5, 0)),
    "ldmdb r5!, {r0, r1, r9}": (0xE935, 0x0203, WordAccess(5, -12)),
    "stmia r3!, {r0, r1}": (0xC303, 0, WordAccess(3, 0)),
    "stmdb r4, {r0-r7}": (0xE904, 0x00FF, WordAccess(4, -32)),
    "push {r4, lr}": (0xB510, 0, None),
    "stmdb sp!, {r4-r9}": (0xE92D, 0x03F0, None),
    "ldmia.w sp!, {r4-r9}": (0xE8BD, 0x03F0, None),
    "ldrd r0, r1, [r2, #16]": (0xE9D2, 0x0104, WordAccess(2, 16)),
    "ldrd r0, r1, [r2, #-8]!": (0xE972, 0x0102, WordAccess(2, -8)),
    "ldrd r0, r1, [r2], #8": (0xE8F2, 0x0102, WordAccess(2, 0)),
    "strd r0, r1, [r7, #-4]": (0xE947, 0x0101, WordAccess(7, -4)),
    "ldrd r0, r1, [sp, #8]": (0xE9DD, 0x0102, None),
    "ldrex r0, [r1, #4]": (0xE851, 0x0F01, None),  # Unicorn checks it
    "tbb [r0, r1]": (0xE8D0, 0xF001, None),
    "tbh [r0, r1, lsl #1]": (0xE8D0, 0xF011, None),
    "vldr s0, [r3, #-12]": (0xED13, 0x0A03, WordAccess(3, -12)),
    "vstr d7, [r9, #1020]": (0xED89, 0x7BFF, WordAccess(9, 1020)),
    "vldr d0, [sp, #8]": (0xED9D, 0x0B02, None),
    "vldmia r2!, {d0-d3}": (0xECB2, 0x0B08, WordAccess(2, 0)),
    "vstmdb r2!, {s1-s3}": (0xED62, 0x0A03, WordAccess(2, -12)),
    "vpush {d8-d9}": (0xED2D, 0x8B04, None),
    "vmov s0, r1": (0xEE00, 0x1A10, None),
    "vmov r0, r1, d3": (0xEC51, 0x0B13, None),
    "ldr r1, [r2, #124]": (0x6FD1, 0, None),
}

REGISTERS = {2: 0x4000_4800, 3: 0x24, 9: 0x4000_4900}
ACCESSES = {
    "ldr r1, [r2, #124]": (0x6FD1, 0, 0x4000_487C),
    "strh r1, [r2, #62]": (0x87D1, 0, 0x4000_483E),
    "ldrb r1, [r2, #31]": (0x7FD1, 0, 0x4000_481F),
    "ldr r1, [r2, r3]": (0x58D1, 0, 0x4000_4824),
    "ldrsh r1, [r2, r3]": (0x5ED1, 0, 0x4000_4824),
    "ldr.w r1, [r2, #4095]": (0xF8D2, 0x1FFF, 0x4000_57FF),
    "strb.w r1, [r9, #-255]": (0xF809, 0x1CFF, 0x4000_4801),
    "ldr.w r1, [r2, #8]!": (0xF852, 0x1F08, 0x4000_4808),
    "ldr.w r1, [r2], #-8": (0xF852, 0x1908, 0x4000_4800),
    "ldrsb.w r1, [r2, r3, lsl #3]": (0xF912, 0x1033, 0x4000_4920),
    "ldr r1, [sp, #4]": (0x9901, 0, None),
    "nop.w": (0xF3AF, 0x8000, None),
    "smlad r0, r1, r2, r3": (0xFB21, 0x3002, None),
}


@pytest.mark.parametrize(("first", "second", "expected"), WORD_ACCESSES.values(), ids=WORD_ACCESSES.keys())
def test_word_access(first: int, second: int, expected: WordAccess | None) -> None:
    assert word_access(first, second) == expected


@pytest.mark.parametrize(("first", "second", "expected"), ACCESSES.values(), ids=ACCESSES.keys())
def test_accessed_address(first: int, second: int, expected: int | None) -> None:
    assert accessed_address(first, second, REGISTERS.__getitem__) == expected


def test_division() -> None:
    assert division(0xFB91, 0xF0F2) == Division(2)  # sdiv r0, r1, r2
    assert division(0xFBB9, 0xF8FA) == Division(10)  # udiv r8, r9, r10
    assert division(0xFB01, 0xF002) is None  # mul
    assert division(0xFB21, 0x3002) is None  # smlad


def test_unmasking() -> None:
    assert unmasks_interrupts(0xB662, 0)  # cpsie i
    assert unmasks_interrupts(0xF383, 0x8810)  # msr primask, r3
    assert unmasks_interrupts(0xF383, 0x8811)  # msr basepri, r3
    assert not unmasks_interrupts(0xF383, 0x8814)  # msr control, r3
    assert not unmasks_interrupts(0xB672, 0)  # cpsid i


@pytest.mark.parametrize("condition", range(15))
def test_conditions(condition: int) -> None:
    """ARMv7-M ARM A7.3, table of condition codes."""
    meaning: list[Callable[[bool, bool, bool, bool], bool]] = [
        lambda n, z, c, v: z, lambda n, z, c, v: not z, lambda n, z, c, v: c, lambda n, z, c, v: not c,
        lambda n, z, c, v: n, lambda n, z, c, v: not n, lambda n, z, c, v: v, lambda n, z, c, v: not v,
        lambda n, z, c, v: c and not z, lambda n, z, c, v: not c or z,
        lambda n, z, c, v: n == v, lambda n, z, c, v: n != v,
        lambda n, z, c, v: not z and n == v, lambda n, z, c, v: z or n != v, lambda n, z, c, v: True,
    ]  # fmt: skip
    for n, z, c, v in product([False, True], repeat=4):
        flags = n << 31 | z << 30 | c << 29 | v << 28
        assert condition_holds(condition, flags) == meaning[condition](n, z, c, v)


@pytest.mark.parametrize(
    ("it", "conditions"),
    [
        (0xBF08, [0x0]),  # it eq
        (0xBF14, [0x1, 0x0]),  # ite ne
        (0xBF0C, [0x0, 0x1]),  # ite eq
        (0xBF1A, [0x1, 0x1, 0x0]),  # itte ne
        (0xBFB1, [0xB, 0xA, 0xA, 0xA]),  # iteee lt
        (0xBFBF, [0xB, 0xB, 0xB, 0xB]),  # itttt lt
        (0xBF2F, [0x2, 0x3, 0x3, 0x3]),  # iteee cs
    ],
)
def test_it_blocks(it: int, conditions: list[int]) -> None:
    code = it.to_bytes(2, "little") + bytes.fromhex("0120") * 5
    assert [i.condition for i in walk(0, code)] == [ALWAYS, *conditions, *[ALWAYS] * (5 - len(conditions))]


def test_every_instruction_of_a_firmware(build: Callable[..., Path]) -> None:
    """Lengths, kinds and conditions as objdump prints them."""
    objdump = disassembler()
    if objdump is None:
        pytest.skip("arm-none-eabi-objdump is not installed")
    elf = build("many_instructions.c")
    text = subprocess.run([objdump, "-d", str(elf)], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ +([0-9a-f]+):\t([0-9a-f ]+?) *\t([a-z][\w.]*)(?:\t(.*))?$", text, re.M)
    printed = {int(address, 16): (code.split(), name, rest) for address, code, name, rest in lines}
    ours = {i.address: i for i in load_program(elf, load_board("stm32h743").memory).instructions()}
    assert len(ours) > 100
    assert set(ours) == {address for address, (_, name, _) in printed.items()}
    for address, instruction in ours.items():
        code, name, rest = printed[address]
        assert is_wide(instruction.first) == (len(code) == 2), name
        mnemonic = name.split(".")[0]
        if is_wide(instruction.first):
            assert uses_fpu(instruction.first, instruction.second) == mnemonic.startswith("v"), name
        divides = division(instruction.first, instruction.second) is not None
        assert divides == mnemonic.startswith(("sdiv", "udiv")), name
        several = re.match(r"(ldm|stm|ldrd|strd|vldr|vstr|vldm|vstm)", mnemonic)
        through_others = several and not re.search(r"\[(sp|pc)|^sp", rest)
        assert (word_access(instruction.first, instruction.second) is not None) == bool(through_others), (name, rest)
        suffixes = ["eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"]
        if instruction.condition != ALWAYS:
            assert mnemonic.endswith(suffixes[instruction.condition]), name
    assert sum(instruction.condition != ALWAYS for instruction in ours.values()) >= 9


def test_counting_instructions() -> None:
    assert count_instructions(bytes.fromhex("00bfaff3008000bf")) == 3  # nop, nop.w, nop
    assert count_instructions(b"") == 0
