"""Copies in faster memory: what they save by a board's caches and waits, and whether that is worth their RAM."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board
from stq_deploy.targets.boards.model import Timing
from stq_deploy.toolchain.copies import CopyRule, copy_rule, saved_cycles
from stq_deploy.toolchain.parts import Part

MISS = 18
CACHE = 16 * 1024


def code(size: int, uses: int) -> Part:
    return Part("kernels", "f", size, 10**6, ("x",), uses)


def constants(size: int, accesses: int) -> Part:
    return Part("weights", "layer", size, accesses, ("x",))


@pytest.mark.parametrize(
    ("part", "saved"),
    [
        (code(32, 1), MISS),
        (code(33, 1), 2 * MISS),
        (code(320, 7), 10 * 7 * MISS),
        (constants(320, 9999), 10 * MISS),  # read from flash once, then from the cache
        (constants(CACHE, 64 * CACHE), CACHE // 32 * MISS),
        (constants(2 * CACHE, 64 * 2 * CACHE), 2 * CACHE // 32 * 64 * MISS),  # read anew each time
    ],
)
def test_a_cache_saves_all_but_the_first_reading(board: Board, part: Part, saved: float) -> None:
    assert saved_cycles(part, board) == saved


def changed(board: Board, **timing: Any) -> Board:
    return board.model_copy(update={"timing": Timing(**timing)})


def test_without_a_cache_every_word_waits(board: Board) -> None:
    assert saved_cycles(constants(320, 4000), changed(board)) == 1000 * MISS


def test_what_a_board_does_not_state_counts_as_much(board: Board) -> None:
    unknown = [memory.model_copy(update={"miss_cycles": None}) for memory in board.memory]
    assert saved_cycles(code(32, 1), board.model_copy(update={"memory": unknown})) == math.inf


def test_ten_percent_of_the_ram_are_worth_one_percent_of_the_time(board: Board) -> None:
    part = code(3200, 10)  # saves 18,000 cycles
    ram = 32_000  # of which the copy is a tenth
    assert CopyRule(board, 1_800_000, False).pays([part], ram)
    assert not CopyRule(board, 1_800_001, False).pays([part], ram)
    assert CopyRule(board, 10**12, True).pays([part], ram)


def test_parts_are_judged_together(board: Board) -> None:
    good, poor = code(320, 10), code(3200, 1)  # they save 1,800 cycles each
    ram = 35_200  # ten times their bytes
    assert CopyRule(board, 360_000, False).pays([good, poor], ram)
    assert not CopyRule(board, 360_001, False).pays([good, poor], ram)


def test_ram_does_not_count_where_kernels_are_chosen_for_speed(board: Board, network: Network) -> None:
    rules = [copy_rule(plan_network(network, optimize=aim), board) for aim in ("speed", "balanced", "size")]
    assert [rule.copies_all for rule in rules] == [True, False, False]
    assert all(rule.cycles > 0 for rule in rules)
