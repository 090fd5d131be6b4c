"""Traces made by hand through the Cortex-M7 and Cortex-M4 models."""

from __future__ import annotations

import pytest

from stq_deploy.cycles.branches import wrong_predictions
from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.listing import hot_blocks
from stq_deploy.cycles.predict import predict
from stq_deploy.cycles.timeline import Cause
from stq_deploy.targets.emulator.block_trace import ENTRY, Addresses, BlockTrace, CodeBlock
from tests.helpers.assembly import Assemble

M7, M4 = core_model("cortex-m7"), core_model("cortex-m4")


def loop(code: bytes, turns: int, runs: int = 1, samples: tuple[Addresses, ...] = ()) -> BlockTrace:
    """A block that runs `runs` x `turns` times, and a return after each run."""
    body, end = CodeBlock(0x100, code), CodeBlock(0x100 + len(code), bytes.fromhex("7047"))
    edges = {(ENTRY, 0): 1, (0, 0): runs * (turns - 1), (0, 1): runs}
    if runs > 1:
        edges[1, 0] = runs - 1
    return BlockTrace((body, end), edges, {0: samples} if samples else {})


def test_a_loop_costs_its_turns_and_one_wrong_prediction(assemble: Assemble) -> None:
    code = assemble("add.w r1, r2, r3\nadd.w r4, r5, r6\nsubs.w r0, r0, #1\nbne.w .-12")
    found = predict(loop(code, 1000), M7)
    assert found.instructions == 4001
    # Two cycles a turn; at its end the loop goes another way than usual: 8 cycles, as the flags are new.
    assert found.cycles == pytest.approx(2000 + 8, abs=2)
    assert found.spent[Cause.BRANCHES] >= 8
    assert found.spent[Cause.ALU] == pytest.approx(1500, abs=2)


def test_every_end_of_a_loop_is_a_wrong_prediction(assemble: Assemble) -> None:
    code = assemble("subs.w r0, r0, #1\nbne.w .-4")
    once, often = predict(loop(code, 500), M7), predict(loop(code, 5, runs=100), M7)
    # The return jumps to the loop every time, so it is predicted.
    assert often.cycles - once.cycles == pytest.approx(99 * (8 + 1), rel=0.15)


def test_sampled_addresses_decide_about_banks(assemble: Assemble) -> None:
    code = assemble("ldr.w r0, [r1]\nldr.w r2, [r3]\nadd.w r4, r4, r5\nb .-12")

    def samples(*offsets: int) -> tuple[Addresses, ...]:
        return tuple({0x100: (0x2000_0000,), 0x104: (0x2000_0000 + offset,)} for offset in offsets)

    apart, same, unknown = (predict(loop(code, 1000, samples=given), M7) for given in (samples(4), samples(8), ()))
    assert apart.cycles == pytest.approx(2000, abs=20)
    assert unknown.cycles == same.cycles == pytest.approx(3000, abs=20)
    assert same.cycles > apart.cycles
    assert (apart.without_addresses, unknown.without_addresses) == (0, 2000)
    mixed = predict(loop(code, 1000, samples=samples(4, 8, 4, 8)), M7)
    assert apart.cycles < mixed.cycles < same.cycles


def test_instructions_without_a_rule_are_counted(assemble: Assemble) -> None:
    assert predict(loop(assemble("dmb\nb .-4"), 10), M7).without_rule == 10


def test_the_sum_of_causes_is_all(assemble: Assemble) -> None:
    found = predict(loop(assemble("ldr.w r0, [r1]\nmul r2, r0, r3\nb .-8"), 100), M7)
    assert found.cycles == sum(found.spent.values())
    assert all(cycles >= 0 for cycles in found.spent.values())


def test_the_single_issue_core_takes_longer(assemble: Assemble) -> None:
    trace = loop(assemble("add.w r1, r2, r3\nadd.w r4, r5, r6\nsubs.w r0, r0, #1\nbne.w .-12"), 1000)
    assert predict(trace, M4).cycles == pytest.approx(1000 * (3 + 3), abs=4)


@pytest.mark.parametrize(
    ("text", "followers", "wrong"),
    [
        ("b .-40", {1: 100}, 0),
        ("bl .", {1: 50, 2: 50}, 0),
        ("bne .-40", {1: 99, 2: 1}, 1),
        ("bne .-40", {1: 50, 2: 50}, 50),
        ("bx lr", {1: 30, 2: 20, 3: 10}, 30),
        ("pop {r4, pc}", {1: 30}, 0),
        ("tbb [pc, r0]", {1: 5, 2: 5, 3: 6}, 10),
        ("add.w r0, r1, r2", {1: 30}, 0),
    ],
)
def test_wrong_predictions(text: str, followers: dict[int, int], wrong: int, assemble: Assemble) -> None:
    assert wrong_predictions(decode(0, assemble(text))[-1], followers) == wrong


def test_the_hottest_code_is_listed_with_its_waits(assemble: Assemble) -> None:
    code = assemble("ldrb.w r0, [r1]\nldr.w r2, [r3, r0]\nadd.w r4, r4, r2\nb .-12")
    first, second = hot_blocks(loop(code, 1000), M7, 2)
    assert (first.runs, second.runs) == (1000, 1)
    assert [line.address for line in first.lines] == [0x100, 0x104, 0x108, 0x10C]
    assert first.lines[1].text == "ldr r2 <- r3, r0"
    # The index is needed early, three cycles after its load; the sum one cycle after its own.
    assert [line.cycles for line in first.lines[1:3]] == [3, 1]
    assert first.cycles == pytest.approx(1000 * sum(line.cycles for line in first.lines))
    assert sum(line.cycles for line in first.lines) == pytest.approx(
        predict(loop(code, 1000), M7).cycles / 1000, rel=0.1
    )
