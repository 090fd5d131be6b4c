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
from stq_deploy.cycles.timeline import ExecutedOperation
from tests.helpers.assembly import Assemble
from tests.helpers.published_cycles import CHAINS, PAIRS, rate


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
    steps = [ExecutedOperation(operation, place) for operation, place in zip(operations, places, strict=True)]
    assert core_model("cortex-m7").time([steps]).marks == (2.0,)


@pytest.mark.parametrize(("first", "second", "cycles"), [(0, 4, 1), (0, 8, 2), (4, 0, 1), (16, 4, 1), (12, 4, 2)])
def test_banks_by_address(first: int, second: int, cycles: float, assemble: Assemble) -> None:
    """Only their addresses show whether loads through two registers collide."""
    one, two = decode(0, assemble("ldr.w r0, [r1]\nldr.w r2, [r3]"))
    steps = [ExecutedOperation(one, (0x2000_0000 + first,)), ExecutedOperation(two, (0x2000_1000 + second,))]
    timing = core_model("cortex-m7").time([steps] * 10)
    assert timing.marks[-1] - timing.marks[-2] == cycles


def test_unknown_addresses_count_as_a_conflict(assemble: Assemble) -> None:
    assert rate(assemble("ldr.w r0, [r1]\nldr.w r2, [r3]")) == 2


def test_unaligned_loads(assemble: Assemble) -> None:
    """jnk0le: "+3 cycles as older op"."""
    (load,) = decode(0, assemble("ldr.w r0, [r1]"))
    timing = core_model("cortex-m7").time([[ExecutedOperation(load, (0x2000_0001,))]] * 10)
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
    steps = [[ExecutedOperation(operation, (0x2000_0000 + places[turn % 2],))] for turn in range(64)]
    marks = core_model("cortex-m7").time(steps).marks
    assert (marks[-1] - marks[31]) / 32 == pytest.approx(cycles, abs=0.05)


def test_bytes_stored_one_after_the_other(assemble: Assemble) -> None:
    """jnk0le: "2.4 cycles for unit stride advancing strb"."""
    (operation,) = decode(0, assemble("strb.w r0, [r1], #1"))
    steps = [[ExecutedOperation(operation, (0x2000_0000 + turn,))] for turn in range(64)]
    marks = core_model("cortex-m7").time(steps).marks
    assert (marks[-1] - marks[31]) / 32 == pytest.approx(2.4, abs=0.05)


def test_five_unaligned_stores_do_not_wait(assemble: Assemble) -> None:
    """jnk0le: "without any stalls until store buffer clogs up (5 consecutive stores)"."""
    (operation,) = decode(0, assemble("str.w r0, [r1]"))
    marks = core_model("cortex-m7").time([[ExecutedOperation(operation, (0x2000_0001,))]] * 7).marks
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
    steps = [ExecutedOperation(operation) for operation in decode(0, assemble(lines))]
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
        ExecutedOperation(
            operation, (places[operation.early[0]],) if operation.early and operation.early[0] in places else (0,)
        )
        for operation in decode(0, code)
    ]
    timing = core_model("cortex-m7").time([steps] * 8)
    assert (timing.marks[-1] - timing.marks[-2]) / 4 == pytest.approx(2.5, abs=0.5)


def test_causes_add_up(assemble: Assemble) -> None:
    code = assemble("ldr.w r0, [r0]\nmul r1, r1, r2\nadd.w r3, r3, r1\nb .-12")
    steps = [ExecutedOperation(operation) for operation in decode(0, code)]
    timing = core_model("cortex-m7").time([steps] * 5)
    assert sum(sum(part.values()) for part in timing.spent) == pytest.approx(timing.marks[-1])
