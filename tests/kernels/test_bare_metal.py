"""Calls into a tiny program: arguments, arrays, guards, faults and exact counts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import GCC, candidates, probe
from tests.helpers.kernels.bare_metal import BareMetalProgram, Struct, count_thumb_instructions
from tests.helpers.kernels.kernel_settings import SANITIZE

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(SANITIZE, reason="the sanitized run is for the host's library")

# Hand-written, so that the number of instructions is known.
SOURCE = """
.syntax unified
.thumb
.macro function name
.global \\name
.type \\name, %function
.thumb_func
\\name:
.endm
function sixth          @ sixth(a, b, c, d, e, f) = e - f
    ldr r0, [sp]
    ldr r1, [sp, #4]
    subs r0, r0, r1
    bx lr
function loop           @ 1 + 2 n + 1 instructions
    nop
1:  subs r0, r0, #1
    bne 1b
    bx lr
function store          @ *p = value
    strb r1, [r0]
    bx lr
function follow         @ p->first[p->second]
    ldrd r1, r2, [r0]
    ldr.w r0, [r1, r2, lsl #2]
    bx lr
function skipped        @ the conditional one counts
    cmp r0, #0
    it ne
    movne r0, #7
    bx lr
function illegal
    udf #0
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> BareMetalProgram:
    compiler = next((probe(c) for c in candidates() if c.name == GCC), None)
    if compiler is None:
        pytest.skip(f"{GCC} is not installed")
    folder = tmp_path_factory.mktemp("bare_metal")
    (folder / "tiny.s").write_text(SOURCE)
    flags = ["-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-Wl,-Ttext=0x08000000", "-Wl,--entry=0"]
    subprocess.run([*compiler.command, *flags, "tiny.s", "-o", "tiny.elf"], cwd=folder, check=True, timeout=60)
    return BareMetalProgram(folder / "tiny.elf")


def test_arguments_beyond_the_fourth_lie_on_the_stack(program: BareMetalProgram) -> None:
    assert program.call("sixth", [1, 2, 3, 4, 50, 8]).result == 42
    assert program.call("sixth", [1, 2, 3, 4, -5, 3]).result == -8


@pytest.mark.parametrize("rounds", [1, 2, 1000])
def test_counts_are_exact(program: BareMetalProgram, rounds: int) -> None:
    assert program.call("loop", [rounds], count=True).instructions == 2 * rounds + 2
    assert program.call("loop", [rounds]).instructions == 0


def test_instructions_skipped_by_it_count(program: BareMetalProgram) -> None:
    assert program.call("skipped", [0], count=True) == program.call("skipped", [0], count=True)
    assert program.call("skipped", [0], count=True).instructions == 4
    assert program.call("skipped", [1], count=True).instructions == 4


def test_arrays_come_back_and_structs_hold_pointers(program: BareMetalProgram) -> None:
    array = np.zeros(3, np.uint8)
    program.call("store", [array, 200])
    assert list(array) == [200, 0, 0]
    assert program.call("follow", [Struct((np.array([5, 6, -7], np.int32), 2))]).result == -7


def test_a_write_beside_an_array_is_found(program: BareMetalProgram) -> None:
    with pytest.raises(StqError, match="wrote beside an array of 0 bytes"):
        program.call("store", [np.zeros(0, np.uint8), 1])


def test_faults_are_explained(program: BareMetalProgram) -> None:
    with pytest.raises(StqError, match="store stopped at 0x08"):
        program.call("store", [None, 1])
    with pytest.raises(StqError, match="illegal stopped"):
        program.call("illegal", [])
    with pytest.raises(StqError, match="has no function 'absent'"):
        program.call("absent", [])
    with pytest.raises(StqError, match="not contiguous"):
        program.call("store", [np.zeros((4, 4), np.uint8)[:, ::2], 1])


def test_files_that_are_no_program(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="cannot read"):
        BareMetalProgram(tmp_path / "absent.elf")
    (tmp_path / "text.elf").write_bytes(b"not an ELF at all")
    with pytest.raises(StqError, match="not an ELF"):
        BareMetalProgram(tmp_path / "text.elf")
    host = Path("/bin/sh")
    if host.is_file() and host.read_bytes()[4] == 2:
        with pytest.raises(StqError, match="not a little-endian 32-bit Arm ELF"):
            BareMetalProgram(host)


def test_counting_thumb_code() -> None:
    assert count_thumb_instructions(b"\x00\xbf\x00\xbf") == 2  # two 16-bit NOPs
    assert count_thumb_instructions(b"\xaf\xf3\x00\x80\x00\xbf") == 2  # NOP.W, NOP
