"""Boards as data: each folder of `boards/` describes one in `board.toml`, and holds its C sources."""

from stq_deploy.targets.boards.load import board_names, load_board
from stq_deploy.targets.boards.model import Board, Cache, Memory

__all__ = ["Board", "Cache", "Memory", "board_names", "load_board"]
