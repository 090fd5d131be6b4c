"""The very firmware that would be flashed, on the emulated board, over the link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.machine import Mode
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.link.messages import ResetCause
from stq_deploy.targets.link.serial_port import open_serial
from stq_deploy.targets.link.session import Session
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.compilers import Compiler
from tests.helpers.networks import random_network

SAMPLES = 12


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(3)


@pytest.fixture(scope="module")
def firmware(network: Network, compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("firmware") / "build"
    build_firmware(plan_network(network), load_board("stm32h743"), out, compiler=compiler)
    return out / "firmware.elf"


@pytest.fixture(scope="module")
def levels(network: Network) -> npt.NDArray[np.int8]:
    image = network.tensors[network.input]
    return np.random.default_rng(1).integers(image.minimum, image.maximum + 1, (SAMPLES, *image.shape), np.int8)


@contextmanager
def session_with(firmware: Path, mode: Mode = "fast", revision: str = "V") -> Iterator[Session]:
    with EmulatedBoard(firmware, mode=mode, revision=revision) as board:
        with Session(open_serial(board.port, load_board("stm32h743").serial.baud)) as session:
            yield session
        board.check()
        assert board.refusals == ()


def test_equal_to_the_reference_and_nothing_refused(
    firmware: Path, network: Network, levels: npt.NDArray[np.int8]
) -> None:
    expected = NumpyExecutor(plan_network(network)).run(levels)[0].reshape(SAMPLES, -1)
    with session_with(firmware) as session:
        results = list(session.infer(levels, layer_cycles=True))
        facts = session.facts
        counters = session.counters()
    np.testing.assert_array_equal([result.logits for result in results], expected)
    assert (facts.clock_hz, facts.reset_cause) == (480_000_000, ResetCause.POWER)
    assert (counters.inferences, counters.damaged, counters.overruns) == (SAMPLES, 0, 0)
    assert {result.cycles for result in results} == {0}


def test_a_network_of_16_bit_levels_is_equal_to_the_reference(compiler: Compiler, tmp_path: Path) -> None:
    wide = random_network(4, input_dtype="int16")
    build_firmware(plan_network(wide), load_board("stm32h743"), tmp_path / "build", compiler=compiler)
    image = wide.input_type
    samples = np.random.default_rng(1).integers(image.minimum, image.maximum + 1, (3, *image.shape)).astype(np.int16)
    samples[0], samples[1] = image.minimum, image.maximum
    expected = NumpyExecutor(plan_network(wide)).run(samples)[0].reshape(3, -1)
    with session_with(tmp_path / "build" / "firmware.elf") as session:
        logits = [result.logits for result in session.infer(samples)]
    np.testing.assert_array_equal(logits, expected)


def test_instruction_counts_are_repeatable_and_come_by_layer(
    firmware: Path, network: Network, levels: npt.NDArray[np.int8]
) -> None:
    """Two boards agree to the instruction, though their interrupts come at other times."""
    seen = []
    for _ in range(2):
        with session_with(firmware, "counting") as session:
            seen.append(list(session.infer(levels, layer_cycles=True)))
    for one, other in zip(*seen, strict=True):
        assert one.layer_cycles is not None
        assert one.cycles == other.cycles
        np.testing.assert_array_equal(one.layer_cycles, other.layer_cycles)
        assert all(one.layer_cycles > 0)
        assert one.cycles == one.layer_cycles.sum()


def test_slower_silicon_is_noticed(firmware: Path, levels: npt.NDArray[np.int8]) -> None:
    """Revision Y has no VOS0: 400 MHz, and another divider for the same baud rate."""
    with session_with(firmware, revision="Y") as session:
        assert session.facts.clock_hz == 400_000_000
        assert len(list(session.infer(levels[:1]))) == 1


def test_reset_over_the_link(firmware: Path, levels: npt.NDArray[np.int8]) -> None:
    with session_with(firmware) as session:
        before = list(session.infer(levels[:2]))
        assert session.reset_board().reset_cause == ResetCause.SOFTWARE
        after = list(session.infer(levels[:2]))
        assert session.counters().inferences == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
