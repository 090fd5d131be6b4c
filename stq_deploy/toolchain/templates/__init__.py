"""Text files of a build that are the same for every board: Makefile, board_config.h, build_id.c."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

_FOLDER = Path(__file__).parent


def render(template: str | Path, **context: Any) -> str:
    """Render a template of this folder by name, or one of a board's by path; undefined names are an error."""
    path = _FOLDER / template
    environment = jinja2.Environment(  # noqa: S701 - C, make and linker scripts, not HTML
        loader=jinja2.FileSystemLoader(path.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name).render(context)
