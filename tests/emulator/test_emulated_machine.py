"""Start-up, reset, interrupts and exceptions of the emulated board."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.machine import Mode
from stq_deploy.targets.emulator.stm32h743 import silicon_identity
from tests.helpers.emulator.bench import Bench

Build = Callable[..., Path]
MODES = pytest.mark.parametrize("mode", ["fast", "counting"])


def noise(count: int) -> bytes:
    return random.Random(count).randbytes(count)


def test_start_up_has_to_prepare_memory(build: Build) -> None:
    """.data comes from its load address, .bss and .noinit begin as noise: forgetting either shows."""
    with Bench(build("startup.c")) as bench:
        first, second, zero, *rest = bench.words(7)
    assert (first, second, zero) == (0x1234_5678, 0x9ABC_DEF0, 0)
    assert len({*rest, 0, 0xFFFF_FFFF}) == 6


@MODES
def test_reset_keeps_memory_and_nothing_else(mode: Mode, build: Build) -> None:
    with Bench(build("resets_once.c"), mode) as bench:
        before, after = bench.words(4), bench.words(5)
    assert before == (0x00E8_0000, 0, 7, 0)
    assert after == (0x00E8_0000 | 0x0142_0000, 0, 7, 0, 0xCAFE)
    assert bench.refusals == []
    assert bench.machine.resets == 1


@MODES
@pytest.mark.parametrize("program", ["echo.c", "echo_polling.c"])
def test_echo(program: str, mode: Mode, build: Build) -> None:
    with Bench(build(program), mode) as bench:
        for size in (1, 15, 16, 17, 1000):
            bench.send(noise(size))
            assert bench.receive(size) == noise(size)


def test_interrupts_in_the_middle_of_a_computation_change_nothing(build: Build) -> None:
    """Registers, flags, IT blocks and FPU registers survive."""
    turns = 60_000
    with Bench(build("busy.c", f"TURNS={turns}"), "counting") as bench:
        bench.send(noise(256))
        checksum, real = bench.words(2)
        assert bench.receive(256) == noise(256)
    assert checksum == zlib.crc32(bytes(i & 0xFF for i in range(turns)))
    assert real == turns // 4


def test_sending_while_receiving_loses_and_doubles_nothing(build: Build) -> None:
    """The core is stopped before any block of the sending loop."""
    with Bench(build("send_while_receiving.c"), "counting") as bench:
        bench.send(noise(2000))
        assert bench.receive(40_000) == bytes((i * 7 >> 3) & 0xFF for i in range(40_000))
        assert bench.receive(2000) == noise(2000)


@MODES
def test_sending_by_interrupt(mode: Mode, build: Build) -> None:
    with Bench(build("send_by_interrupt.c"), mode) as bench:
        assert bench.receive(300) == bytes(n & 0xFF for n in range(300))
        assert bench.words(1) == (300,)


ACCESS_IN_IT_BLOCK = """
void probe(void)
{
    uint32_t negative;
    serial_start(0);
    __asm volatile("cmp r0, r0\\n"
                   "itt eq\\n"
                   "ldreq r1, [%1]\\n"
                   "moveq r1, #1\\n"
                   "b 1f\\n"
                   "1: lsls r1, r1, #31\\n"
                   "ite mi\\n"
                   "movmi %0, #1\\n"
                   "movpl %0, #0\\n" : "=r"(negative) : "r"(&USART3_ISR) : "r1", "cc");
    put_word(negative);
}
"""


@MODES
def test_code_behind_an_it_block_with_a_peripheral_access_sets_flags(mode: Mode, build: Build) -> None:
    with Bench(build(ACCESS_IN_IT_BLOCK), mode) as bench:
        assert bench.words(1) == (1,)


def test_masked_interrupts_wait(build: Build) -> None:
    with Bench(build("masked.c"), "counting") as bench:
        bench.send(b"1")
        assert bench.words(3) == (0, 1, 0xA5A5_A5A5)
        bench.send(b"2")
        assert bench.words(2) == (1, 2)


def test_a_busy_core_is_left_alone_in_fast_mode(build: Build) -> None:
    """Stopped from another thread, Unicorn executes an LDRD into its own base register twice, and reads astray.

    The program chases a pointer with such loads while bytes for its receive interrupt wait.
    """
    with Bench(build("chase.c", "TURNS=20000000")) as bench:
        bench.send(noise(256))
        assert bench.words(1) == (20_000_000,)
        assert not bench.machine.wants_nudge
        assert bench.receive(256) == noise(256)


def test_fpu_registers_survive_an_exception_that_uses_them(build: Build) -> None:
    """ARMv7-M ARM B1.5.7: S0 to S15 and FPSCR are in the frame, and EXC_RETURN has bit 4 clear."""
    with Bench(build("fpu_frame.c")) as bench:
        exc_return, s0, s11, fpscr, control = bench.words(5)
    assert (exc_return, s0, s11, fpscr, control) == (0xFFFF_FFE9, 22, 11, 0x00C0_0000, 4)


@pytest.mark.parametrize("misaligned", [0, 4])
def test_frame_of_an_exception(misaligned: int, build: Build) -> None:
    """ARMv7-M ARM B1.5.6: eight words, aligned to 8; bit 9 of the pushed xPSR says whether a word was inserted."""
    with Bench(build("frame.c", f"MISALIGNED={misaligned}")) as bench:
        frame, xpsr, exc_return, number, r0, sp_before, r0_after, sp_after = bench.words(8)
    assert frame % 8 == 0
    inserted = sp_before - frame - 32
    assert inserted == sp_before % 8
    assert bool(xpsr & 1 << 9) == bool(inserted)
    assert xpsr & 1 << 30  # Z, from MOVS
    assert (exc_return, number, r0, r0_after) == (0xFFFF_FFF9, 11, 77, 99)
    assert sp_after == sp_before


def test_silicon_revision(build: Build) -> None:
    elf = build("void probe(void) { serial_start(0); put_word(REGISTER(0x5C001000u)); }")
    for revision, identity in (("V", 0x2003_0450), ("Y", 0x1003_0450)):
        with Bench(elf, revision=revision) as bench:
            assert bench.words(1) == (identity,)


def test_program_without_vector_table(tmp_path: Path, build: Build) -> None:
    elf = build("void probe(void) { }")
    image = bytearray(elf.read_bytes())
    at = image.index((0x2000_1000).to_bytes(4, "little"))  # the initial stack pointer
    image[at + 4 : at + 8] = bytes(4)
    broken = tmp_path / "broken.elf"
    broken.write_bytes(image)
    with Bench(broken) as bench:
        assert "reset vector holds 0x00000000" in bench.wait_for_end().what


def test_boards_that_are_not_emulated() -> None:
    board = load_board("stm32h743")
    assert silicon_identity(board, "V") == 0x2003_0450
    for change in (
        {"identity": None},
        {"identity": board.identity.model_copy(update={"value": 0x483})},
        {"serial": board.serial.model_copy(update={"peripheral": "USART1"})},
    ):
        with pytest.raises(StqError, match="cannot emulate board"):
            silicon_identity(board.model_copy(update=change), "V")
