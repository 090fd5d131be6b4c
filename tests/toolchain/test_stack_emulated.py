"""The bounds against what happens: the emulator runs the code, and every instruction's SP is looked at."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board
from stq_deploy.targets.link.session import Session
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.elf import read_image
from stq_deploy.toolchain.stack import LIBRARY_ALLOWANCE_BYTES, read_call_graph

unicorn = pytest.importorskip("unicorn", reason="pip install -e '.[emulator]'")

from tests.helpers.emulator.bench import Bench, compile_program  # noqa: E402 - needs unicorn


class BenchTransport:
    """A session's bytes, to and from a machine of this process."""

    name = "bench"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def read(self, timeout: float) -> bytes:
        deadline = self.now() + timeout
        while not self._bench.sent and self.now() < deadline:
            if self._bench.machine.wants_nudge:
                self._bench.machine.nudge()
            time.sleep(0.0005)
        return bytes(self._bench.sent.popleft() for _ in range(len(self._bench.sent)))

    def write(self, data: bytes) -> None:
        self._bench.send(data)

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        """Nothing to let go of."""


class StackWatch:
    """What a machine does with the stack whose addresses are `stack`.

    Attributes:
        lowest: value of SP.
        reached: addresses of executed instructions.
        lowest_in: function -> lowest value of SP at its own instructions.
        depths: function -> the most bytes between SP at its start and SP at one of its own instructions.
    """

    def __init__(self, bench: Bench, elf: Path, stack: range) -> None:
        self.lowest = stack.stop
        self.reached: set[int] = set()
        self.lowest_in: dict[str, int] = {}
        self.depths: dict[str, int] = defaultdict(int)
        self._stack = stack
        functions = [symbol for symbol in read_image(elf).symbols if symbol.is_function]
        self._owners = {at: (s.address, s.name) for s in functions for at in range(s.address, s.address + s.size, 2)}
        self._at_start: dict[int, int] = {}
        bench.machine._core.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_instruction)

    def _on_instruction(self, uc: Any, address: int, _size: int, _data: object) -> None:
        sp = uc.reg_read(unicorn.arm_const.UC_ARM_REG_SP)
        if sp not in self._stack:
            return
        self.lowest = min(self.lowest, sp)
        self.reached.add(address)
        if address not in self._owners:
            return
        start, name = self._owners[address]
        if address == start:
            self._at_start[start] = sp
        self.lowest_in[name] = min(self.lowest_in.get(name, sp), sp)
        self.depths[name] = max(self.depths[name], self._at_start.get(start, sp) - sp)


def test_the_bounds_hold_for_the_firmware(
    built: BuiltFirmware, objects: list[Path], board: Board, network: Network
) -> None:
    assert built.stack is not None
    image = network.tensors[network.input]
    levels = np.random.default_rng(1).integers(image.minimum, image.maximum + 1, (2, *image.shape), np.int8)
    bottom = board.memory_named(board.placement.stack).origin
    top = bottom + board.stack.bytes
    bench = Bench(built.elf)
    watch = StackWatch(bench, built.elf, range(bottom, top + 1))
    with bench, Session(BenchTransport(bench)) as session:
        results = list(session.infer(levels, crcs=True, layer_cycles=True))
    expected = NumpyExecutor(plan_network(network)).run(levels)[0].reshape(2, -1)
    np.testing.assert_array_equal([result.logits for result in results], expected)

    # The whole: an inference goes down the deepest path, or nearly, and interrupts come on top of some part of it.
    assert 0.8 * built.stack.program_bytes < top - watch.lowest <= built.stack.bytes
    # Each function by itself; functions of equal names are not distinguished.
    graph = read_call_graph(objects, built.compiler_family, board.stack.assembly_calls)
    frames: dict[str, int] = defaultdict(int)
    for title, frame in graph.frames.items():
        name = title.rpartition(":")[2]
        frames[name] = max(frames[name], frame)
    seen = {name: depth for name, depth in watch.depths.items() if name in frames}
    assert {name: (depth, frames[name]) for name, depth in seen.items() if depth > frames[name]} == {}
    assert sum(0 < depth == frames[name] for name, depth in seen.items()) > 20


HELPERS = """
volatile long long a = -500000000000, b = 7;
volatile unsigned long long ua = 1ull << 63, ub = 3ull << 32;
volatile float f = 1.5f;
volatile double d = 2.5;
volatile int shift = 3;
static __attribute__((noinline)) void calculate(void)
{
    for (int i = 0; i < 2; i++) {
        a = a / b;
        a = a % b - 500000000000;
        ua = ua / ub;
        ua = ua % ub + (5ull << 40);
        ub = 10;
        f = (float)a + (float)ua;
        d = (double)a + (double)ua;
        a = (long long)f + (long long)d;
        ua = (unsigned long long)f + (unsigned long long)d;
        a = (a << shift) * b - (b >> shift);
    }
}
void probe(void)
{
    enable_fpu();
    serial_start(0);
    calculate();
    put_word(1);
}
"""


def test_the_allowance_covers_the_compilers_helpers(compiler: Compiler, tmp_path: Path) -> None:
    elf = compile_program(compiler, HELPERS, tmp_path / "helpers")
    bench = Bench(elf)
    dtcm = 0x2000_0000
    watch = StackWatch(bench, elf, range(dtcm, dtcm + 4097))
    with bench:
        assert bench.words(1) == (1,)
    called = {symbol.name for symbol in read_image(elf).symbols if symbol.address in watch.reached}
    assert {"__aeabi_ldivmod", "__aeabi_uldivmod", "__aeabi_f2lz", "__aeabi_l2d"} <= called
    taken = watch.lowest_in["calculate"] - watch.lowest
    assert 0.25 * LIBRARY_ALLOWANCE_BYTES < taken <= LIBRARY_ALLOWANCE_BYTES
