"""The Cortex-M7 model against what others measured on silicon, statement by statement.

jnk0le: github.com/jnk0le/random, "pipeline cycle test/doc/cortex_m7.md", STM32H743 revision Y.
quinapalus: quinapalus.com/cm7cycles.html, STM32H730.
Arm: DDI0489, "Cortex-M7 processor technical reference manual".
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.timeline import Step
from tests.helpers.assembly import Assemble

_TURNS = 24


def rate(code: bytes, *, jumps: bool = False) -> float:
    """Cycles of a turn in a long loop of `code`."""
    operations = decode(0x2000, code)
    steps = [Step(operation) for operation in operations]
    if jumps:
        steps[-1] = Step(operations[-1], jumps=True)
    timing = core_model("cortex-m7").time([steps] * (2 * _TURNS))
    return (timing.marks[-1] - timing.marks[_TURNS - 1]) / _TURNS


PAIRS = {
    # "dual issuing matrix" of second operands; the column is the younger one.
    "add.w r0, r1, #1 / eor.w r2, r3, #0x1b1b1b1b": 1,
    "eor.w r0, r1, #0x1b1b1b1b / eor.w r2, r3, #0x1fc0": 1,
    "add.w r0, r1, #1 / eor.w r2, r3, r4, ror #24": 1,
    "eor.w r0, r1, #0x1fc0 / eor.w r2, r3, #0x1fc0": 2,
    "eor.w r0, r1, #0x1fc0 / eor.w r2, r3, r4, ror #24": 2,
    "eor.w r0, r1, r4, ror #24 / eor.w r2, r3, #0x1fc0": 2,
    "eor.w r0, r1, r4, ror #24 / eor.w r2, r3, r4, ror #8": 2,
    "eor.w r0, r1, r4, ror #24 / lsr.w r2, r3, #12": 1,
    "eor.w r0, r1, r4, ror #24 / ror.w r2, r3, r4": 1,
    "lsr.w r0, r1, #12 / lsr.w r2, r3, #12": 1,
    "lsr.w r0, r1, #12 / ror.w r2, r3, r4": 1,
    "add.w r0, r1, r2 / sub.w r3, r4, r5": 1,
    # "cannot dual issue wrt each other" of the bit field and DSP instructions
    "uxtb.w r0, r1 / uxtb.w r2, r3": 2,
    "uadd8 r0, r1, r2 / uadd8 r3, r4, r5": 2,
    "ubfx r0, r1, #2, #3 / rev.w r2, r3": 2,
    "clz r0, r1 / pkhbt r2, r3, r4": 2,
    # "must be placed in older op"
    "uxtb.w r0, r1 / add.w r2, r3, r4": 1,
    "uxtab16 r0, r0, r1 / ldr.w r2, [r3]": 1,
    # "can't be dual issued with operand2 inline_shifted_reg/shifted_constant"
    "bfi r0, r1, #2, #3 / eor.w r2, r3, r4, ror #24": 2,
    "uxtab16 r0, r0, r1 / eor.w r2, r3, #0x1fc0": 2,
    "uadd8 r0, r1, r2 / eor.w r3, r4, r5, ror #24": 1,
    # multiplication: "can't dual issue wrt each other", "can't dual issue with stores"
    "smlad r0, r1, r2, r0 / smlad r3, r4, r5, r3": 2,
    "mul r0, r1, r2 / smlabb r3, r4, r5, r3": 2,
    "smlad r0, r1, r2, r0 / str.w r3, [r4]": 2,
    "str.w r3, [r4] / mul r0, r1, r2": 2,
    # "can be dual issued with dsp/bitmanip and operand2 inline_shifted_reg/shifted_constant instructions as well as
    # execute in any opcode slot"
    "sxtb16 r5, r6 / smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / eor.w r3, r4, r5, ror #24": 1,
    "and.w r3, r4, r5 / smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / ldr.w r3, [r4]": 1,
    # "all multiply accumulates can be chained on accumulator dependency each cycle"
    "smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / and.w r3, r4, r5": 1,
    # loads: "can be dual issued if each one is targeting different bank (even and odd words)"
    "ldr.w r0, [r1] / ldr.w r2, [r1, #4]": 1,
    "ldr.w r0, [r1] / ldr.w r2, [r1, #8]": 2,
    "ldr.w r0, [r1, #12] / ldr.w r2, [r1, #-8]": 1,
    # stores: "cannot dual issue two stores", "can be dual issued with load"
    "str.w r0, [r1] / str.w r2, [r1, #4]": 2,
    "ldr.w r0, [r1] / str.w r2, [r3]": 1,
    "str.w r2, [r3] / ldr.w r0, [r1]": 1,
    "add.w r0, r1, r2 / str.w r3, [r4]": 1,
    # load and store of pairs and lists: "cannot dual issue", "takes ceil(regnum/2) cycles"
    "ldrd r0, r1, [r2]": 1,
    "ldrd r0, r1, [r2] / add.w r3, r4, r5": 2,
    "ldmia r9, {r0-r3}": 2,
    "ldmia r9, {r0-r4}": 3,
    "stmia r9, {r0-r3}": 2,
    "push {r0-r4}": 3,
    # "movw + movt pair can dual issue with mutual dependency"
    "movw r0, #1234 / movt r0, #5678": 1,
    # division: LLVM's ARMScheduleM7.td, single issue, 7 cycles
    "sdiv r0, r1, r2 / add.w r3, r4, r5": 8,
}
"""Independent instructions, and cycles for all of them in an endless loop without its branch."""

CHAINS = {
    # ALU results are usable in the next cycle, by an address or a shifted operand one later.
    "eor.w r0, r0, r1": 1,
    "eor.w r0, r0, r1 / eor.w r0, r0, r1": 2,
    "eor.w r0, r1, r0, ror #3": 2,
    # early ALU: "result ... can be forwarded to late ALU in 0 cycles, or early alu next cycle"
    "add.w r0, r5, r2 / eor.w r6, r0, r6": 1,
    "add.w r0, r0, r2 / ldr.w r3, [r4, r0]": 2,
    "sub.w r0, r0, r2 / eor.w r3, r4, r0, ror #2": 2,
    "lsl.w r0, r1, #3 / eor.w r6, r0, r6": 1,
    "ldr.w r2, [r3], #4 / eor.w r6, r3, r6": 1,
    # "can enter early alu from older op only": xor, then add as the younger, then a late use in the same cycle is late
    "eor.w r7, r7, r8 / add.w r0, r5, r2 / eor.w r6, r0, r6 / mov.w r9, r10": 2,
    # "word loads can be consumed by late ALU in next cycle", addresses one later
    "ldr.w r0, [r1] / add.w r2, r0, r2": 1,
    "ldr.w r0, [r0]": 2,
    # "byte/half loads ... (1 extra cycle of result latency), or third in early ALU"
    "ldrb.w r0, [r0]": 3,
    "ldrh.w r0, [r0]": 3,
    # multiplication: "1 additional cycle of result latency"
    "mul r0, r0, r1": 2,
    "smull r0, r1, r0, r1": 2,
    "mla r0, r0, r1, r2": 2,
    # "bitfield/dsp instruction result cannot be used as index or address by load/store in next cycle"
    "uxtb.w r0, r1 / ldr.w r1, [r2, r0]": 4,
    "uadd8 r0, r0, r1": 1,
    # "sbfx, ubfx, rbit, rev ... can't source from late ALU of previous cycle"
    "ubfx r0, r0, #1, #30": 2,
    "eor.w r0, r2, r1 / rev.w r2, r0": 2,
    # stores: "can store any result in same cycle, including ldr,ldrh,ldrb"
    "ldr.w r0, [r1] / str.w r0, [r2]": 1,
    "ldrb.w r0, [r1] / strb.w r0, [r2]": 2.4,
}
"""Dependent instructions, and cycles of a turn."""


@pytest.mark.parametrize(("lines", "cycles"), PAIRS.items(), ids=PAIRS.keys())
def test_published_pairs(lines: str, cycles: float, assemble: Assemble) -> None:
    assert rate(assemble(lines.replace(" / ", "\n"))) == cycles


@pytest.mark.parametrize(("lines", "cycles"), CHAINS.items(), ids=CHAINS.keys())
def test_published_latencies(lines: str, cycles: float, assemble: Assemble) -> None:
    assert rate(assemble(lines.replace(" / ", "\n"))) == pytest.approx(cycles, abs=0.1)


def test_the_snippet_that_does_not_stall(assemble: Assemble) -> None:
    """jnk0le: "following snippet doesn't stall", four instructions of early and late ALU and address units."""
    code = assemble("add.w r0, r0, r2\neor.w r6, r0, r6, ror #22\nldr.w r4, [r14, r0]\nldr.w r5, [r14, r1]")
    operations = decode(0, code)
    places = [(), (), (0x2000_0000,), (0x2000_0004,)]
    steps = [Step(operation, place) for operation, place in zip(operations, places, strict=True)]
    assert core_model("cortex-m7").time([steps]).marks == (2.0,)


@pytest.mark.parametrize(("first", "second", "cycles"), [(0, 4, 1), (0, 8, 2), (4, 0, 1), (16, 4, 1), (12, 4, 2)])
def test_banks_by_address(first: int, second: int, cycles: float, assemble: Assemble) -> None:
    """Of loads through two registers only the addresses can say whether they collide."""
    one, two = decode(0, assemble("ldr.w r0, [r1]\nldr.w r2, [r3]"))
    steps = [Step(one, (0x2000_0000 + first,)), Step(two, (0x2000_1000 + second,))]
    timing = core_model("cortex-m7").time([steps] * 10)
    assert timing.marks[-1] - timing.marks[-2] == cycles


def test_unknown_addresses_count_as_a_conflict(assemble: Assemble) -> None:
    assert rate(assemble("ldr.w r0, [r1]\nldr.w r2, [r3]")) == 2


def test_unaligned_loads(assemble: Assemble) -> None:
    """jnk0le: "+3 cycles as older op"."""
    (load,) = decode(0, assemble("ldr.w r0, [r1]"))
    timing = core_model("cortex-m7").time([[Step(load, (0x2000_0001,))]] * 10)
    assert timing.marks[-1] - timing.marks[-2] == 4


@pytest.mark.parametrize(
    ("store", "places", "cycles"),
    [
        ("str.w r0, [r1]", (0, 0), 1),
        ("strb.w r0, [r1]", (0, 0), 4),  # "4 cycles per store if targeting one bank"
        ("strb.w r0, [r1]", (0, 8), 4),
        ("strb.w r0, [r1]", (0, 12), 2),  # "2 cycles per store if targeting even/odd bank"
        ("strh.w r0, [r1]", (0, 4), 2),
        ("str.w r0, [r1]", (1, 9), 4),  # unaligned: "the throughput is 4 cycles per one store"
    ],
)
def test_store_buffer(store: str, places: tuple[int, int], cycles: float, assemble: Assemble) -> None:
    (operation,) = decode(0, assemble(store))
    steps = [[Step(operation, (0x2000_0000 + places[turn % 2],))] for turn in range(64)]
    marks = core_model("cortex-m7").time(steps).marks
    assert (marks[-1] - marks[31]) / 32 == pytest.approx(cycles, abs=0.05)


def test_bytes_stored_one_after_the_other(assemble: Assemble) -> None:
    """jnk0le: "2.4 cycles for unit stride advancing strb"."""
    (operation,) = decode(0, assemble("strb.w r0, [r1], #1"))
    steps = [[Step(operation, (0x2000_0000 + turn,))] for turn in range(64)]
    marks = core_model("cortex-m7").time(steps).marks
    assert (marks[-1] - marks[31]) / 32 == pytest.approx(2.4, abs=0.05)


def test_five_unaligned_stores_do_not_wait(assemble: Assemble) -> None:
    """jnk0le: "without any stalls until store buffer clogs up (5 consecutive stores)"."""
    (operation,) = decode(0, assemble("str.w r0, [r1]"))
    marks = core_model("cortex-m7").time([[Step(operation, (0x2000_0001,))]] * 7).marks
    gaps = [after - before for before, after in pairwise(marks)]
    assert gaps[:4] == [1, 1, 1, 1]
    assert gaps[4] > 1


@pytest.mark.parametrize(
    ("lines", "cycles"),
    [
        ("subs.w r0, r0, #1\nbne.w .-4", 8),
        ("subs.w r0, r0, #1\nadd.w r1, r1, r2\nadd.w r3, r3, r4\nbne.w .-12", 8),
        # flags set at least three cycles before the branch
        ("subs.w r0, r0, #1" + "\nadd.w r1, r1, r2" * 3 + "\nadd.w r3, r3, r4" * 3 + "\nbne.w .-28", 6),
    ],
)
def test_wrong_predictions_cost(lines: str, cycles: int, assemble: Assemble) -> None:
    """jnk0le: "from 8 to 6 cycles", with flags "at least 3 cycles before branch"."""
    steps = [Step(operation) for operation in decode(0, assemble(lines))]
    assert core_model("cortex-m7").time([steps]).wrong_jump == (cycles,)


def test_a_predicted_loop_pays_nothing_for_its_branch(assemble: Assemble) -> None:
    assert rate(assemble("subs.w r0, r0, #1\nbne.w .-4"), jumps=True) == 1


def test_the_loop_of_byte_lanes(assemble: Assemble) -> None:
    """An index, two loads at it and two additions: 2.5 cycles, where the loads hit different banks."""
    code = assemble(
        "\n".join(
            f"ldrh.w r{2 + turn % 2}, [r0], #2\nldr.w r4, [r8, r{3 - turn % 2}]\nldr.w r5, [r9, r{3 - turn % 2}]\n"
            "add.w r6, r6, r4\nadd.w r7, r7, r5"
            for turn in range(4)
        )
    )
    places = {8: 0x2000_0000, 9: 0x2000_0004}
    steps = [
        Step(operation, (places[operation.early[0]],) if operation.early and operation.early[0] in places else (0,))
        for operation in decode(0, code)
    ]
    timing = core_model("cortex-m7").time([steps] * 8)
    assert (timing.marks[-1] - timing.marks[-2]) / 4 == pytest.approx(2.5, abs=0.5)


def test_causes_add_up(assemble: Assemble) -> None:
    code = assemble("ldr.w r0, [r0]\nmul r1, r1, r2\nadd.w r3, r3, r1\nb .-12")
    steps = [Step(operation) for operation in decode(0, code)]
    timing = core_model("cortex-m7").time([steps] * 5)
    assert sum(sum(part.values()) for part in timing.spent) == pytest.approx(timing.marks[-1])
