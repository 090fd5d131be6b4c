"""The trade of time, flash and RAM: every undominated choice is found, and shared code counts once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.network import TensorType
from stq_deploy.network.ops import Table
from stq_deploy.program.kernels import trade
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.spec import Kernel
from stq_deploy.program.kernels.table import TableKernels
from stq_deploy.program.kernels.trade import Choice, suited
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightPacking

LEVELS = TensorType((4,), "int8", 0, 3, 1.0)


class PricedKernels(TableKernels):
    """A family that states its price."""

    def __init__(self, cycles: int, constants: int, code: dict[str, int]) -> None:
        super().__init__(Table)
        self.price, self.constants, self.parts = cycles, constants, code

    def cycles(self, work: Work[Table]) -> int:
        return self.price

    def table_bytes(self, work: Work[Table]) -> int:
        return self.constants

    def code(self, kernel: Kernel) -> dict[str, int]:
        return self.parts


def best_choices(options: list[list[Candidate]], ram: dict[Candidate, int] | None = None) -> tuple[Choice, ...]:
    """The choices where the candidates that `ram` lacks take 100 bytes of RAM."""
    return trade.best_choices(options, {one: 100 for layer in options for one in layer} | (ram or {}))


def candidate(function: str, cycles: int, constants: int, code: dict[str, int]) -> Candidate:
    work: Any = Work(Table("t", ("x",), "y", (), np.zeros(256, np.int8)), (LEVELS,), LEVELS)
    return Candidate(cast(Any, PricedKernels(cycles, constants, code)), Kernel(function, ("int8",)), work)


def slow(cycles: int = 100) -> Candidate:
    return candidate("slow", cycles, 10, {"slow": 50})


def fast(cycles: int = 10) -> Candidate:
    return candidate("fast", cycles, 10, {"fast": 80, "shared": 20})


def functions(options: list[list[Candidate]]) -> list[tuple[list[str], int, int]]:
    found = best_choices(options)
    return [([one.kernel.function for one in choice.chosen], choice.cycles, choice.flash_bytes) for choice in found]


def test_code_counts_once_however_many_layers_use_it() -> None:
    assert functions([[slow(), fast()]] * 3) == [(["slow"] * 3, 300, 80), (["fast"] * 3, 30, 130)]
    also = candidate("other", 5, 0, {"other": 7, "shared": 20})
    assert functions([[fast()], [also]]) == [(["fast", "other"], 15, 10 + 80 + 20 + 7)]


def test_a_layer_that_needs_the_code_anyway_makes_it_free_for_others() -> None:
    assert functions([[fast()], [slow(), fast()]]) == [(["fast", "fast"], 20, 120)]


def test_a_choice_between_the_smallest_and_the_fastest_is_kept() -> None:
    little = candidate("slow", 20, 10, {"slow": 50})
    found = functions([[slow(), fast()], [little, fast(19)]])
    assert found == [(["slow", "slow"], 120, 70), (["fast", "fast"], 29, 120)]


def test_what_each_aim_takes() -> None:
    choices = best_choices([[slow(), fast()]] * 2)
    assert [suited(choices, aim).cycles for aim in ("size", "speed", "balanced")] == [200, 20, 20]
    close = best_choices([[slow(), fast(70)]] * 2)  # 200 x 70 bytes, 140 x 120 bytes
    assert [suited(close, aim).cycles for aim in ("size", "speed", "balanced")] == [200, 140, 200]


@pytest.mark.parametrize(
    ("ram", "taken"),
    [
        (100, 10),  # no more RAM
        (130, 10),
        (10**13, 100),  # 10^11 times the RAM: its tenth root is more than ten
    ],
)
def test_balanced_weighs_ram_a_tenth(ram: int, taken: int) -> None:
    """The fast kernel takes as much flash as the slow one, and a tenth of its time."""
    quick = candidate("quick", 10, 10, {"quick": 50})
    choices = best_choices([[slow(), quick]], {quick: ram})
    assert suited(choices, "balanced").cycles == taken
    assert suited(choices, "speed").cycles == 10
    assert {choice.ram_bytes for choice in choices} == {ram} | ({100} if ram > 100 else set())


def test_a_layer_may_do_without_the_fastest_kernel_to_save_ram() -> None:
    """The peak is one layer's: the other one runs the function that would raise it."""
    large, small = fast(), fast()
    choices = best_choices([[slow(), large], [slow(), small]], {large: 300, small: 100})
    found = {tuple(one.kernel.function for one in choice.chosen): choice.ram_bytes for choice in choices}
    assert found == {("slow", "slow"): 100, ("slow", "fast"): 100, ("fast", "fast"): 300}


def test_one_candidate_leaves_no_choice() -> None:
    (choice,) = best_choices([[slow()], [fast()]])
    assert suited([choice], "speed") is suited([choice], "size") is choice


PRICES = st.tuples(st.integers(1, 9), st.integers(0, 9))


@given(st.lists(st.lists(PRICES, min_size=3, max_size=3), min_size=1, max_size=4))
def test_no_other_assignment_beats_the_smallest_and_the_fastest(prices: list[list[tuple[int, int]]]) -> None:
    code: list[dict[str, int]] = [{"a": 5}, {"b": 9, "bc": 3}, {"c": 2, "bc": 3}]
    options = [
        [candidate("abc"[i], cycles, constants, code[i]) for i, (cycles, constants) in enumerate(layer)]
        for layer in prices
    ]
    every = [trade.choice_of(chosen, dict.fromkeys(chosen, 100)) for chosen in product(*options)]
    found = best_choices(options)
    assert found[-1].cycles == min(one.cycles for one in every)
    for one, other in pairwise(found):
        assert one.flash_bytes < other.flash_bytes and one.cycles > other.cycles
    for one in found:
        faster = [other for other in every if other.cycles < one.cycles]
        same_functions = {c.kernel.function for c in one.chosen}
        assert all({c.kernel.function for c in other.chosen} - same_functions for other in faster)


@pytest.mark.parametrize("count", [12, 13])
def test_many_functions_are_tried_by_family(count: int) -> None:
    options = [
        [candidate(f"f{i}", 10 + i, 1, {f"f{i}": 1}), candidate(f"g{i}", 5, 1, {f"g{i}": 2})] for i in range(count // 2)
    ]
    options.append([candidate("extra", 3, 1, {"extra": 1}), candidate("f0", 2, 1, {"f0": 1})])
    assert best_choices(options)[-1].cycles == 5 * (count // 2) + 2


def coded(cycles: int, constants: int, packing: WeightPacking = "gaps") -> Candidate:
    """A function that reads a code of the weights of `t2`; its code takes 30 bytes."""
    function = f"k_{packing}_s8"
    one = candidate(function, cycles, constants, {function: 30})
    return replace(one, kernel=Kernel(function, ("int8",), 2, packing=packing))


def test_codes_are_taken_for_size_only() -> None:
    """Both layers are coded, because the code counts once; a layer that gains nothing keeps its fields."""
    plain = [candidate("k_t2_s8", 10, size, {"k_t2_s8": 50}) for size in (100, 90, 20)]
    options = [[plain[0], coded(15, 60)], [plain[1], coded(14, 70)], [plain[2], coded(30, 20)]]
    choices = best_choices(options)
    assert [suited(choices, aim).cycles for aim in ("speed", "balanced")] == [30, 30]
    small = suited(choices, "size")
    assert [one.kernel.packing for one in small.chosen] == ["gaps", "gaps", "gaps"]
    assert small.flash_bytes == 60 + 70 + 20 + 30  # fields' code for one layer alone would take 50
    assert all(one.kernel.packing == "fields" for one in suited(choices, "balanced").chosen)


def test_each_layer_takes_the_smaller_of_two_codes_where_that_pays_for_both() -> None:
    options = [
        [candidate("k_t2_s8", 10, 900, {"k_t2_s8": 50}), coded(15, 600), coded(15, 700, "trits")],
        [candidate("k_t2_s8", 10, 900, {"k_t2_s8": 50}), coded(15, 800), coded(15, 700, "trits")],
    ]
    small = suited(best_choices(options), "size")
    assert [one.kernel.packing for one in small.chosen] == ["gaps", "trits"]
    assert small.flash_bytes == 600 + 700 + 60


def test_a_code_that_is_demanded_leaves_the_other_layers_their_fields() -> None:
    options = [[coded(15, 60)], [candidate("k_t2_s8", 10, 100, {"k_t2_s8": 50}), coded(14, 60)]]
    assert [one.kernel.packing for one in suited(best_choices(options), "balanced").chosen] == ["gaps", "fields"]
