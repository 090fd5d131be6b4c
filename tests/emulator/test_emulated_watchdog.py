"""The watchdog: as tiny programs see it, and as the firmware uses it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.boards.model import IndependentWatchdog
from stq_deploy.targets.emulator.machine import Mode
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.link.messages import ResetCause
from stq_deploy.targets.link.problems import UnusableLineError
from stq_deploy.targets.link.serial_port import open_serial
from stq_deploy.targets.link.session import Session
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.compilers import Compiler
from tests.helpers.emulator.bench import Bench
from tests.helpers.networks import random_levels, random_network

Build = Callable[..., Path]

REGISTERS = """
#define RCC_RSR REGISTER(0x580244D0u)
#define IWDG1_KR REGISTER(0x58004800u)
#define IWDG1_PR REGISTER(0x58004804u)
#define IWDG1_RLR REGISTER(0x58004808u)
#define IWDG1_SR REGISTER(0x5800480Cu)

static void start_watchdog(void)
{
    IWDG1_KR = 0xCCCC;
    IWDG1_KR = 0x5555;
    IWDG1_PR = 0;
    IWDG1_RLR = 799; /* times 4 / 32 kHz: 0.1 s */
    while (IWDG1_SR != 0) {
    }
    IWDG1_KR = 0xAAAA;
}

void probe(void)
{
    serial_start(0);
    put_word(RCC_RSR);
    RCC_RSR = 1u << 16;
    PROGRAM
}
"""
BY_POWER = 0x00E8_0000
BY_WATCHDOG = 0x0442_0000
"""RCC_RSR: RM0433 "Reset source identification", the row of IWDG1: IWDG1RSTF, PINRSTF, CPURSTF."""
HANGS = 'start_watchdog(); for (;;) { ASM("nop"); }'
SLEEPS = 'start_watchdog(); ASM("cpsid i"); for (;;) { ASM("wfi"); }'


def program(body: str) -> str:
    return REGISTERS.replace("PROGRAM", body)


@pytest.mark.parametrize("mode", ["fast", "counting"])
def test_a_core_that_hangs_is_reset_with_its_cause(mode: Mode, build: Build) -> None:
    with Bench(build(program(HANGS)), mode, watchdog_speed=20 if mode == "counting" else 1) as bench:
        assert bench.words(3) == (BY_POWER, BY_WATCHDOG, BY_WATCHDOG)
        assert bench.machine.resets >= 2
    assert not bench.refusals


def test_a_core_that_sleeps_is_reset_as_well(build: Build) -> None:
    with Bench(build(program(SLEEPS))) as bench:
        assert bench.words(2) == (BY_POWER, BY_WATCHDOG)


@pytest.mark.parametrize("mode", ["fast", "counting"])
def test_one_that_is_fed_in_time_runs_on(mode: Mode, build: Build) -> None:
    body = "for (int i = 0; i < 200; i++) { IWDG1_KR = 0xAAAA; put_word(i); }"
    feeds = f"start_watchdog(); {body} for (;;) {{ put(0); IWDG1_KR = 0xAAAA; }}"
    with Bench(build(program(feeds)), mode) as bench:
        assert bench.words(201) == (BY_POWER, *range(200))
        assert bench.machine.resets == 0


def test_one_that_was_never_started_does_nothing(build: Build) -> None:
    with Bench(build(program("IWDG1_KR = 0xAAAA; for (;;) { put_word(7); }")), watchdog_speed=1e6) as bench:
        assert bench.words(50)[1:] == (7,) * 49
        assert bench.machine.resets == 0


# The firmware.


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(3)


@pytest.fixture(scope="module")
def firmware(network: Network, compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("firmware") / "build"
    build_firmware(plan_network(network), load_board("stm32h743"), out, compiler=compiler)
    return out / "firmware.elf"


def hang_in(firmware: Path, function: str, into: Path) -> Path:
    """A copy of the image in which the function is a branch to itself."""
    shutil.copy(firmware, into)
    with firmware.open("rb") as file:
        elf = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name(function)
        address = symbol["st_value"] & ~1
        section = next(
            s for s in elf.iter_sections()
            if s["sh_type"] == "SHT_PROGBITS" and s["sh_addr"] <= address < s["sh_addr"] + s["sh_size"]
        )  # fmt: skip
        at = section["sh_offset"] + address - section["sh_addr"]
    with into.open("r+b") as file:
        file.seek(at)
        file.write(b"\xfe\xe7")  # B .
    return into


@contextmanager
def session_with(firmware: Path, network: Network, watchdog_speed: float) -> Iterator[Session]:
    names = [layer.op.name for layer in plan_network(network).layers]
    with EmulatedBoard(firmware, watchdog_speed=watchdog_speed) as board:
        with Session(open_serial(board.port, load_board("stm32h743").serial.baud), layer_names=names) as session:
            yield session
        board.check()
        assert board.refusals == ()


def test_a_kernel_that_hangs_is_named(firmware: Path, network: Network, tmp_path: Path) -> None:
    layers = plan_network(network).layers
    hung = next(layer for layer in reversed(layers) if layer.kernel.startswith("stq_"))
    first = next(layer for layer in layers if layer.kernel == hung.kernel)
    elf = hang_in(firmware, hung.kernel, tmp_path / "hangs.elf")
    with session_with(elf, network, watchdog_speed=40) as session:
        assert session.facts.reset_cause == ResetCause.POWER
        with pytest.raises(UnusableLineError) as caught:
            list(session.infer(random_levels(network, 3).astype(network.input_type.dtype)))
        text = str(caught.value)
        assert "the watchdog, as the firmware made no progress" in text
        assert f"in layer {first.index} ({first.op.name})" in text
        assert "its kernel hangs" in text
        assert session.facts.reset_cause == ResetCause.WATCHDOG
        assert session.statistics.watchdog_resets == session.statistics.resets > 0
        record = session.last_fault()
        assert record is not None
        assert (record.kind, record.layer, record.pc) == ("reset by the watchdog", first.index, 0)


def test_a_board_that_idles_is_not_reset(firmware: Path, network: Network) -> None:
    """For several of the watchdog's periods: its main loop goes round, and feeds it."""
    levels = random_levels(network, 2).astype(network.input_type.dtype)
    with session_with(firmware, network, watchdog_speed=40) as session:
        time.sleep(1.5)
        logits = [result.logits for result in session.infer(levels)]
        counters = session.counters()
    np.testing.assert_array_equal(logits, NumpyExecutor(plan_network(network)).run(levels)[0].reshape(2, -1))
    assert counters.sessions == 1
    assert session.statistics.resets == 0


def test_the_time_allowed_holds_at_every_speed_of_the_oscillator() -> None:
    """The host must still be waiting when the watchdog resets the board: its shortest wait for an answer is 31 s."""
    watchdog = load_board("stm32h743").watchdog
    assert isinstance(watchdog, IndependentWatchdog)
    ticks = watchdog.shortest_ms * watchdog.highest_hz // (1000 * 256) + 1
    assert ticks <= 4096
    shortest, longest = (ticks * 256 / hz for hz in (watchdog.highest_hz, watchdog.lowest_hz))
    assert watchdog.shortest_ms / 1000 <= shortest
    assert longest < 15
