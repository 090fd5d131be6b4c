"""Folders of firmware templates, boards and documentation: beside the package in a checkout, within it if installed."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def firmware_templates() -> Path:
    """The folder of C sources and Jinja templates."""
    return _folder("firmware_templates")


def docs_folder() -> Path:
    """The folder of the documentation that messages name."""
    return _folder("docs")


def with_docs(text: str) -> str:
    """The text with the full path of every page that it names `docs/NAME.md`, unless that is its path from here."""

    def full(found: re.Match[str]) -> str:
        page = docs_folder() / found[1]
        return found[0] if Path(found[0]).is_file() or not page.is_file() else str(page)

    return re.sub(r"\bdocs/([A-Z0-9_]+\.md)", full, text)


def boards_folder() -> Path:
    """The folder with one folder per board."""
    return _folder("boards")
