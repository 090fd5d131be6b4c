"""A run's whole state after an epoch, in one file that is never half-written.

The file is an .npz of plain arrays, in groups: the model's weights, the optimizer's variables, averages, and others. A
    JSON text has the epoch, the noise state and the settings of the run.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.common.npy_member import read_arrays
from stq_deploy.research.quantizers import noise
from stq_deploy.research.training.epoch_record import EpochRecord
from stq_deploy.zoo.run_record import RunSettings

MAXIMUM_ARRAY_BYTES = 1 << 32
VariableGroups = Mapping[str, Sequence[Any]]
"""Name -> TensorFlow variables, in order."""


@dataclass(frozen=True)
class TrainingState:
    """Everything except the arrays: epochs done, the run's settings, its history so far."""

    epochs_done: int
    settings: RunSettings
    history: list[EpochRecord]


def save(path: Path, groups: VariableGroups, progress: TrainingState) -> None:
    """Replace `path` completely: a kill leaves the old file or the new one, never a part."""
    arrays = {
        f"{group}_{number:03d}": variable.numpy()
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }
    record = {
        "epochs_done": progress.epochs_done,
        "settings": progress.settings.to_json(),
        "history": [one.to_json() for one in progress.history],
        "noise": asdict(noise.get_state()),
    }
    content = io.BytesIO()
    np.savez(content, record=np.array(json.dumps(record)), **arrays)
    write_whole(path, content.getvalue())


def read_progress(path: Path) -> TrainingState:
    """Everything except the arrays. Raises StqError if the file is not a checkpoint."""
    try:
        record = json.loads(str(read_arrays(path, MAXIMUM_ARRAY_BYTES)["record"]))
        history = [EpochRecord.from_json(line) for line in record["history"]]
        return TrainingState(record["epochs_done"], RunSettings.from_json(record["settings"]), history)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def restore(path: Path, groups: VariableGroups) -> None:
    """Put the state saved in `path` into freshly built variables and into the noise source.

    Raises StqError if the file is not a checkpoint of such variables.
    """
    try:
        archive = read_arrays(path, MAXIMUM_ARRAY_BYTES)
        for group, variables in groups.items():
            names = [name for name in archive if name.startswith(f"{group}_")]
            if len(names) != len(variables):
                raise ValueError(f"it has {len(names)} {group} arrays, the run needs {len(variables)}")
            for name, variable in zip(names, variables, strict=True):
                variable.assign(archive[name])
        noise.set_state(noise.NoiseState(**json.loads(str(archive["record"]))["noise"]))
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def _damaged(path: Path, error: Exception) -> StqError:
    return StqError("cannot resume from this checkpoint", where=str(path), cause=str(error), next="restart the run")
