"""Finds and reads `boards/<name>/board.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.files import read_bounded
from stq_deploy.common.resources import boards_folder
from stq_deploy.targets.boards.model import Board

FILE_NAME = "board.toml"


def board_names() -> list[str]:
    """Names of all boards, sorted."""
    return sorted(path.parent.name for path in boards_folder().glob(f"*/{FILE_NAME}"))


def load_board(name: str) -> Board:
    """The board named `name`.

    Raises:
        StqError: no board has this name, or its file is wrong.
    """
    if name not in board_names():
        add = "docs/BOARDS.md says how to add one"
        raise no_such(f"there is no board {name!r}", name, board_names(), also=add)
    return read_board(boards_folder() / name / FILE_NAME)


def read_board(path: Path) -> Board:
    """Read and check one board file; the board's name must be its folder's.

    Raises:
        StqError: it is not TOML, lacks or has too many entries, contradicts itself, or names missing sources.
    """
    try:
        board = Board.model_validate(tomllib.loads(read_bounded(path)))
    except OSError as error:
        raise StqError(f"cannot read the board file: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise _wrong(path, f"{entry}: {first['msg']}" if entry else first["msg"]) from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and numbers of thousands of digits
        raise _wrong(path, f"not a TOML file: {error}") from error
    if board.name != path.parent.name:
        raise _wrong(path, f"the board is called {board.name!r}, its folder {path.parent.name!r}")
    for source in board.firmware.sources:
        if not (path.parent / source).is_file():
            raise _wrong(path, f"it names {source}, which is not in its folder")
    board._folder = path.parent
    return board


def _wrong(path: Path, what: str) -> StqError:
    return StqError(f"wrong board file: {what}", where=str(path), next="docs/BOARDS.md says what each entry means")
