"""Counting mode counts exactly what the core executes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from unicorn import UC_HOOK_CODE

from stq_deploy.targets.emulator.instructions import ALWAYS
from tests.helpers.emulator.bench import Bench

Build = Callable[..., Path]


def test_counts_that_one_can_count_by_hand(build: Build) -> None:
    with Bench(build("counted.c"), "counting") as bench:
        bench.send(bytes(64))
        empty, nops, loop, conditional, peripheral = bench.words(5)
    assert empty == 1  # the first reading itself
    assert nops - empty == 3
    assert loop - empty == 1 + 1000 * 2
    assert conditional - empty == 1 + 100 * 8
    assert peripheral - empty == 1 + 10 * 7


def test_fast_mode_counts_nothing(build: Build) -> None:
    with Bench(build("counted.c")) as bench:
        bench.send(bytes(64))
        assert bench.words(5) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("program", ["counted.c", "busy.c", "echo.c", "fpu_frame.c"])
def test_blocks_and_single_instructions_count_the_same(program: str, build: Build) -> None:
    """Against a hook on every instruction; interrupts, stops, sleeps and exceptions included."""
    bench = Bench(build(program, "TURNS=3000"), "counting")
    single = SingleInstructions(bench)
    with bench:
        bench.send(bytes(range(256)))
        bench.receive({"counted.c": 20, "busy.c": 264, "echo.c": 256, "fpu_frame.c": 20}[program])
        wait_until_asleep(bench)
        counter = bench.machine._counter
        assert counter is not None
        assert (counter.program, counter.handlers) == (single.counts[False], single.counts[True])
    assert counter.program > 100


class SingleInstructions:
    """Counts by Unicorn's hook on every instruction, which is not called for those whose IT condition fails."""

    def __init__(self, bench: Bench) -> None:
        self.counts: Counter[bool] = Counter()
        self._machine = machine = bench.machine
        self._at = {instruction.address: instruction for instruction in bench.program.instructions()}
        self._last = 0
        machine._core.uc.hook_add(UC_HOOK_CODE, self._count)
        emulate = machine._emulate

        def emulate_and_correct() -> None:
            emulate()
            if machine._core.pc == self._last:  # stopped before it, so it will be hooked once more
                self.counts[machine._exceptions.in_handler] -= 1
                self._last = 0

        machine._emulate = emulate_and_correct  # type: ignore[method-assign]

    def _count(self, _uc: object, address: int, _size: int, _data: object) -> None:
        in_handler = self._machine._exceptions.in_handler
        self.counts[in_handler] += 1 + self._skipped(self._last, address)
        self._last = address

    def _skipped(self, before: int, address: int) -> int:
        count = 0
        at = self._at[before].end if before else address
        while at in self._at and at != address and self._at[at].condition != ALWAYS:
            at = self._at[at].end
            count += 1
        return count


def wait_until_asleep(bench: Bench) -> None:
    deadline = time.monotonic() + 10
    while not bench.machine._asleep:
        assert time.monotonic() < deadline
        time.sleep(0.001)
