"""A run's whole state after an epoch, in one file that is never half-written.

The file is an .npz of plain arrays: every weight of the model, every variable of the optimizer, and a JSON
text with the epoch, the noise state and the settings the run was started with.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.errors import StqError
from stq_deploy.files import write_whole
from stq_deploy.quantizers import noise


@dataclass(frozen=True)
class Progress:
    """What is known besides the arrays: epochs done, the run's settings, its history so far."""

    epochs_done: int
    settings: dict[str, Any]
    history: list[dict[str, Any]]


def save(path: Path, model: Any, optimizer: Any, progress: Progress) -> None:
    """Replace `path` whole: a kill leaves the old file or the new, never a part."""
    arrays = {f"weight_{i:03d}": weight.numpy() for i, weight in enumerate(model.weights)}
    arrays |= {f"optimizer_{i:03d}": variable.numpy() for i, variable in enumerate(optimizer.variables)}
    record = {**asdict(progress), "noise": asdict(noise.get_state())}
    content = io.BytesIO()
    np.savez(content, record=np.array(json.dumps(record)), **arrays)
    write_whole(path, content.getvalue())


def restore(path: Path, model: Any, optimizer: Any) -> Progress:
    """Put the state saved in `path` into a freshly built `model` and built `optimizer`, and into the noise
    source.

    Raises StqError if the file is not a checkpoint of such a model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            record = json.loads(str(archive["record"]))
            for prefix, variables in (("weight", model.weights), ("optimizer", optimizer.variables)):
                names = [name for name in archive.files if name.startswith(prefix)]
                if len(names) != len(variables):
                    raise ValueError(f"it has {len(names)} {prefix} arrays, the run needs {len(variables)}")
                for name, variable in zip(names, variables, strict=True):
                    variable.assign(archive[name])
            noise.set_state(noise.NoiseState(**record.pop("noise")))
            return Progress(**record)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StqError(
            "cannot resume from this checkpoint", where=str(path), cause=str(error), next="start the run anew"
        ) from error
