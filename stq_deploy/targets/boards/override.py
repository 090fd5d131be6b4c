"""A board with another placement than its file's: `build --place`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards.model import Board

PARTS = ("kernels", "weights", "arena", "scratch")
"""The parts that may be moved: entries of `[placement]` that are lists."""


def parse_places(texts: Sequence[str]) -> dict[str, list[str]]:
    """`PART=MEMORY[,MEMORY...]` texts as part -> memories in order of preference.

    Raises:
        StqError: a text is not of this form, names an unknown part, or repeats a part.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        part, equals, memories = text.partition("=")
        names = [name.strip() for name in memories.split(",")]
        if not equals or not all(names):
            raise StqError(
                f"{text!r} is not a placement",
                where="--place",
                next="write PART=MEMORY or PART=MEMORY,MEMORY, for instance arena=axi_sram",
            )
        if part not in PARTS:
            raise StqError(
                f"there is no part {part!r} to place",
                where=f"--place {text}",
                cause="stack and variables stay where start-up expects them" if part in ("stack", "data") else "",
                next=f"choose one of: {', '.join(PARTS)}",
            )
        if part in found:
            raise StqError(
                f"{part} is placed twice", where=f"--place {text}", next="name all its memories at once, with commas"
            )
        found[part] = names
    return found


def with_places(board: Board, places: dict[str, list[str]]) -> Board:
    """`board` with other candidates for some parts.

    Raises:
        StqError: a memory does not exist, or cannot hold the part.
    """
    if not places:
        return board
    names = [memory.name for memory in board.memory]
    for part, memories in places.items():
        for name in memories:
            if name not in names:
                raise StqError(
                    f"{board.name} has no memory {name!r}",
                    where=f"--place {part}={','.join(memories)}",
                    next=f"choose from: {', '.join(names)}",
                )
    placement = board.placement.model_copy(update=places)
    try:
        changed = Board.model_validate(board.model_copy(update={"placement": placement}).model_dump(by_alias=True))
    except ValidationError as error:
        raise StqError(
            str(error.errors()[0]["ctx"]["error"]),
            where="--place " + " --place ".join(f"{part}={','.join(where)}" for part, where in places.items()),
            cause="a guarded memory is for code alone, and code runs from nowhere else than that and flash",
            next=f"`stq-deploy boards` and docs/BOARDS.md describe the memories of {board.name}",
        ) from error
    changed._folder = board.folder
    return changed
