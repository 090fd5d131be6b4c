"""`build --place`: what may go where, and what is said otherwise."""

from __future__ import annotations

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.boards.override import PARTS, parse_places, with_places

BOARD = load_board("stm32h743")


def test_texts_are_parts_and_memories() -> None:
    assert parse_places(["arena=axi_sram", "weights=dtcm, flash_bank1"]) == {
        "arena": ["axi_sram"],
        "weights": ["dtcm", "flash_bank1"],
    }
    assert parse_places([]) == {}


@pytest.mark.parametrize("text", ["", "arena", "arena=", "arena=dtcm,", "=dtcm", "arena=,dtcm"])
def test_texts_of_another_form_are_told(text: str) -> None:
    with pytest.raises(StqError, match=r"is not a placement|no part"):
        parse_places([text])


def test_unknown_parts_are_told() -> None:
    with pytest.raises(StqError, match="no part 'stack'") as caught:
        parse_places(["stack=dtcm"])
    assert "start-up" in caught.value.cause
    assert ", ".join(PARTS) in caught.value.next


def test_a_part_is_placed_once() -> None:
    with pytest.raises(StqError, match="arena is placed twice"):
        parse_places(["arena=dtcm", "arena=axi_sram"])


def test_the_board_changes_in_what_was_asked() -> None:
    changed = with_places(BOARD, {"arena": ["sram4"], "kernels": ["flash_bank1"]})
    assert (changed.placement.arena, changed.placement.kernels) == (["sram4"], ["flash_bank1"])
    assert changed.placement.scratch == BOARD.placement.scratch
    assert changed.folder == BOARD.folder
    assert changed.model_copy(update={"placement": BOARD.placement}) == BOARD
    assert BOARD.placement.arena != ["sram4"]


def test_without_wishes_it_is_the_same_board() -> None:
    assert with_places(BOARD, {}) is BOARD


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"arena": ["sram9"]}, "stm32h743 has no memory 'sram9'"),
        ({"arena": ["dtcm", "itcm"]}, "arena cannot go to 'itcm'"),
        ({"scratch": ["flash_bank1"]}, "scratch cannot go to 'flash_bank1'"),
        ({"weights": ["itcm"]}, "weights cannot go to 'itcm'"),
        ({"kernels": ["dtcm"]}, "kernels cannot go to 'dtcm'"),
    ],
)
def test_memories_that_cannot_hold_it_are_told(places: dict[str, list[str]], message: str) -> None:
    with pytest.raises(StqError, match=message):
        with_places(BOARD, places)
