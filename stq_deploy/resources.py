"""Where the firmware templates and the boards lie: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def firmware_templates() -> Path:
    """The folder of C sources and Jinja templates."""
    return _folder("firmware_templates")


def boards_folder() -> Path:
    """The folder that holds one folder per board."""
    return _folder("boards")
