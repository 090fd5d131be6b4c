"""The files of a finished run: model.h5, result.json, history.jsonl."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import cannot_write, write_whole
from stq_deploy.research.training.epoch_record import EpochRecord

MODEL_FILE = "model.h5"
RESULT_FILE = "result.json"
HISTORY_FILE = "history.jsonl"
CHECKPOINT_FILE = "checkpoint.npz"

_PACKAGES = ("tensorflow", "tensorflow-cpu", "tf-keras", "qkeras", "numpy", "h5py")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_free(folder: Path) -> None:
    """Refuse a folder with files of a run's names but no run to resume: they are the user's.

    Raises:
        StqError: there are such files; the error names them.
    """
    if (folder / CHECKPOINT_FILE).exists():
        return
    there = [name for name in (MODEL_FILE, RESULT_FILE, HISTORY_FILE) if os.path.lexists(folder / name)]
    if there:
        raise StqError(
            f"the output folder holds files that no run there wrote: {', '.join(there)}",
            where=str(folder),
            next="choose another --out, or move them away",
        )


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Indented, keys in the order given."""
    write_whole(path, json.dumps(record, indent=2) + "\n")


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """One JSON object per line, one line per epoch."""
    write_whole(path, "".join(json.dumps(record.as_json()) + "\n" for record in history))


def save_model(model: Any, path: Path) -> None:
    """Write the model as .h5 or .keras, completely or not at all."""
    beside = path.with_name(f".{path.name}.part{path.suffix}")  # Keras decides by the ending
    try:
        with warnings.catch_warnings():  # Keras warns of .h5 as legacy, and of qkeras' quantizers
            warnings.simplefilter("ignore")
            options = (
                {"include_optimizer": False} if path.suffix == ".h5" else {}
            )  # .keras: an uncompiled model has none
            model.save(str(beside), **options)
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # the HDF5 library raises either for a full disk
        full = error if isinstance(error, OSError) and error.strerror else OSError(0, str(error))
        raise cannot_write(full, path) from error
    finally:
        beside.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Versions of this program, Python and the packages that decide a result."""
    found = {"stq-deploy": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the checkout this code runs from, "-dirty" if changed since; None outside of one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
