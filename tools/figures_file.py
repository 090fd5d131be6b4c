"""Where the tools write: JSON files of figures, and models; never onto what they read or did not write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stq_deploy.common.file_kinds import H5, KERAS, kind_of_file
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, check_output, read_bounded, write_whole


def check_figures(path: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, a file for figures that cannot be written, or that holds something else.

    Args:
        inputs: files that the tool reads.

    Raises:
        StqError: the place cannot be written, or holds a file that the tool reads, or one without a JSON object.
    """
    if path is not None:
        check_output(path, what="a file of figures (JSON)", recognize=_holds_json, inputs=inputs, force_option=False)


def write_figures(path: Path, document: dict[str, Any]) -> None:
    """Write figures as JSON, completely or not at all, with the commit that they were measured at.

    Raises:
        StqError: the file cannot be written.
    """
    from stq_deploy.research.training.result import git_commit

    write_whole(path, json.dumps({"commit": git_commit()} | document, indent=1) + "\n")


def check_model(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a file for a Keras model that cannot be written, or that exists and holds something else.

    Args:
        inputs: files that the tool reads.

    Raises:
        StqError: as `check_figures`.
    """
    check_output(path, what="a Keras model", recognize=_is_keras_model, inputs=inputs, force_option=False)


def _holds_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(read_bounded(path, MAXIMUM_JSON_BYTES)), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _is_keras_model(path: Path) -> bool:
    kind = kind_of_file(path)
    return kind is not None and kind.form in (H5, KERAS)
