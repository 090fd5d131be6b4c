"""Hooks on memory within an IT block, and first accesses to pages there: Unicorn goes on as if there were none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stq_deploy.targets.emulator.block_trace import BlockWatch, Hooks, trace_call
from stq_deploy.targets.emulator.machine import Mode
from tests.helpers.emulator.bench import Bench

unicorn = pytest.importorskip("unicorn")
from unicorn import arm_const  # noqa: E402

CODE, DATA, BACK = 0x0000, 0x2000_0000, 0x1_0000
PROGRAM = bytes.fromhex(
    "0128"  # cmp r0, #1
    "a4bf"  # itt ge
    "0d68"  # ldrge r5, [r1]
    "012d"  # cmpge r5, #1
    "01da"  # bge past the next two
    "0020"  # movs r0, #0
    "7047"  # bx lr
    "0028"  # cmp r0, #0
    "01d0"  # beq past the next two: a branch that no IT block may hold
    "0720"  # movs r0, #7
    "7047"  # bx lr
    "7047"  # bx lr
)


@pytest.fixture(name="core")
def _core() -> Any:
    core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, cpu=arm_const.UC_CPU_ARM_CORTEX_M7)
    for start in (CODE, DATA, BACK):
        core.mem_map(start, 0x1000)
    core.mem_write(CODE, PROGRAM)
    core.mem_write(DATA, (5).to_bytes(4, "little"))
    return core


def call(core: Any) -> int:
    core.reg_write(arm_const.UC_ARM_REG_R0, 5)
    core.reg_write(arm_const.UC_ARM_REG_R1, DATA)
    core.reg_write(arm_const.UC_ARM_REG_LR, BACK | 1)
    core.emu_start(CODE | 1, BACK)
    return int(core.reg_read(arm_const.UC_ARM_REG_R0))


@pytest.mark.parametrize("watched", [False, True])
def test_a_traced_call_returns_what_it_returns_alone(core: Any, watched: bool) -> None:
    alone, traced, seen = call(core), [], []

    def run(_hooks: Hooks) -> None:
        traced.append(call(core))

    def accessed(address: int, size: int, writes: bool) -> None:
        seen.append((address, size, writes))

    watches = [BlockWatch(DATA, DATA + 4, lambda *_: None, accessed)] if watched else []
    trace = trace_call(core, run, [(DATA, 4)], watches)
    assert (alone, traced) == (7, [7, 7])
    assert seen == ([(DATA, 4, False)] if watched else [])
    assert trace.instructions == 9
    assert [addresses for samples in trace.samples.values() for one in samples for addresses in one.values()] == [
        (DATA,)
    ]


@pytest.mark.parametrize("mode", ["fast", "counting"])
@pytest.mark.parametrize("access", ["ldr", "str"])
def test_a_first_access_to_a_page_leaves_no_condition_behind(
    access: str, mode: Mode, build: Callable[..., Path]
) -> None:
    """After the IT block, MOVS must set the flags and the branch must be taken, for each of 64 new pages."""
    elf = build(
        "static uint32_t touch(uint32_t at) { uint32_t count;"
        '__asm volatile("movs r0, #5\\ncmp r0, #1\\nitt ge\\n'
        f"{access}ge r5, [%1]\\ncmpge r0, #1\\nbge 1f\\nmovs %0, #0\\nb 2f\\n"
        '1: movs r0, #0\\nbeq 3f\\nmovs %0, #7\\nb 2f\\n3: movs %0, #1\\n2:"'
        ': "=&r"(count) : "r"(at) : "r0", "r5", "cc", "memory"); return count; }'
        "void probe(void) { serial_start(0); uint32_t sum = 0;"
        "for (uint32_t i = 0; i < 64; i++) { sum += touch(0x24000000u + 1024u * i); } put_word(sum); }"
    )
    with Bench(elf, mode) as bench:
        assert bench.words(1) == (64,)
    assert bench.refusals == []
