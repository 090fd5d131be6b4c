"""The files of a finished run: model.h5, result.json, history.jsonl."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import cannot_write, write_whole
from stq_deploy.research.training.epoch_record import EpochRecord
from stq_deploy.zoo.run_record import RunSettings

MODEL_FILE = "model.h5"
RESULT_FILE = "result.json"
HISTORY_FILE = "history.jsonl"
CHECKPOINT_FILE = "checkpoint.npz"

_PACKAGES = ("tensorflow", "tensorflow-cpu", "tf-keras", "qkeras", "numpy", "h5py")


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that was stopped after some epochs, and can be resumed."""

    epochs_done: int
    finished: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {"finished": False, "epochs_done": self.epochs_done}


@dataclass(frozen=True)
class FinishedRun:
    """The result of a run.

    Attributes:
        test_accuracy: share of the test samples that the model gets right, 0 .. 1.
        test_samples, train_samples: how many there are.
        classes: their names.
        dataset_source: name of the file that the data set was read from.
        quantizers: role -> quantizer, None for none.
        parameters: number of them.
        epochs_done: how many.
        last_epoch: the record of the last one.
        training_seconds: time of all epochs.
        config: the settings.
        model_sha256: of the model file, in hex.
        built_on_sha256: use ("warm_start", "teacher") -> SHA-256 of that model file; None in runs of older versions.
        versions: package -> version.
        git_commit: of the code, None outside of a checkout.
        command: the command line, with the program's name only.
    """

    test_accuracy: float
    test_samples: int
    train_samples: int
    classes: tuple[str, ...]
    dataset_source: str
    quantizers: Mapping[str, str | None]
    parameters: int
    epochs_done: int
    last_epoch: EpochRecord
    training_seconds: float
    config: RunSettings
    model_sha256: str
    built_on_sha256: Mapping[str, str] | None
    versions: Mapping[str, str]
    git_commit: str | None
    command: tuple[str, ...]
    finished: ClassVar[bool] = True

    def to_json(self) -> dict[str, Any]:
        """The content of result.json."""
        nested = {"last_epoch": self.last_epoch.to_json(), "config": self.config.to_json()}
        own = {"finished": True} | dict(vars(self)) | nested
        return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The result in a file of ours. Raises KeyError, ValueError or TypeError: it is of an unfinished run."""
        names = [field.name for field in fields(cls) if field.name != "built_on_sha256"]
        nested = {
            "classes": tuple(record["classes"]),
            "last_epoch": EpochRecord.from_json(record["last_epoch"]),
            "config": RunSettings.from_json(record["config"]),
            "built_on_sha256": record.get("built_on_sha256"),
            "command": tuple(record["command"]),
        }
        return cls(**{name: record[name] for name in names} | nested)


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


class Record(Protocol):
    """What a JSON file can hold."""

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        ...


def write_json(path: Path, record: Record) -> None:
    """Indented, keys in the order of `to_json`."""
    write_whole(path, json.dumps(record.to_json(), indent=2) + "\n")


def read_finished(run: Path) -> FinishedRun:
    """The result of the finished run in a folder.

    Raises:
        StqError: there is none, or the model beside it is another one.
    """
    path = run / RESULT_FILE
    try:
        found = FinishedRun.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StqError(
            "no finished training run here", where=str(run), cause=str(error), next="finish it with --resume"
        ) from error
    if sha256(run / MODEL_FILE) != found.model_sha256:
        raise StqError("the model is not the one its result.json describes", where=str(run))
    return found


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """One JSON object per line, one line per epoch."""
    write_whole(path, "".join(json.dumps(record.to_json()) + "\n" for record in history))


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
