"""Jacobian norms of networks on CIFAR-10 test samples, in chunks that are kept, and the medians of a table."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy import __version__
from stq_deploy.common.files import write_whole
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.jacobian_norms import (
    INNER_DRAWS,
    INPUT,
    INPUT_DRAWS,
    STEP,
    JacobianMeter,
    JacobianNorms,
)
from stq_deploy.research.training.result import git_commit
from tools.paper_attacks import Subject

CHUNK = 100
_ARRAYS = ("gradient", "difference", "size", "margin", "spread")


@dataclass(frozen=True)
class Measured:
    """A network of the table.

    Attributes:
        network, variant, scheme: what it is.
        regularized: whether its training penalized Jacobians.
        seed: of its training.
    """

    subject: Subject
    network: str
    variant: str
    scheme: str
    regularized: bool
    seed: int


def measure(network: Measured, state: Path, samples: int, say: Callable[[str], None]) -> JacobianNorms | None:
    """Norms on the first `samples` samples; chunks that are there are taken over. None without any samples."""
    subject = network.subject
    x, y = subject.x[:samples], subject.samples.classes()[:samples]
    meter: JacobianMeter | None = None
    found = []
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        path = state / subject.name / f"{start:06d}.npz"
        key = _key(subject, x[part], y[part])
        norms = _load(path, key)
        if norms is None:
            meter = meter or JacobianMeter(FloatModel(subject.path).keras)
            numbers = np.arange(start, start + len(x[part]), dtype=np.int64)
            norms = meter.measure(x[part], y[part], numbers)
            _save(norms, path, key)
            say(f"{subject.name}: samples {start} to {numbers[-1]}")
        found.append(norms)
    return _joined(found) if found else None


def row(network: Measured, norms: JacobianNorms) -> dict[str, Any]:
    """Medians over the samples that are classified right."""
    right = norms.margin > 0
    margin, spread = norms.margin[right], norms.spread[right]

    def medians(values: NDArray[np.float64], size: NDArray[np.float64]) -> dict[str, float]:
        return {
            "norm": _median(values),
            "by_margin": _median(values / margin),
            "by_spread": _median(values / spread),
            "relative_by_margin": _median(values * size / margin),
        }

    places = [
        {
            "place": name,
            "gradient": medians(norms.gradient[p][right], norms.size[p][right]),
            "difference": medians(norms.difference[p][right], norms.size[p][right]),
            "size": _median(norms.size[p][right]),
        }
        for p, name in enumerate(norms.places)
    ]
    return {
        "model": network.subject.name,
        "model_sha256": hashlib.sha256(network.subject.path.read_bytes()).hexdigest(),
        "network": network.network,
        "variant": network.variant,
        "scheme": network.scheme,
        "regularized": network.regularized,
        "seed": network.seed,
        "samples": len(right),
        "right": int(right.sum()),
        "margin": _median(margin),
        "spread": _median(spread),
        "places": places,
        "step": STEP,
        "draws": {INPUT: INPUT_DRAWS, "inner": INNER_DRAWS},
        "commit": git_commit(),
    }


def _median(values: NDArray[np.float64]) -> float:
    return round(float(np.median(values)), 4) if len(values) else float("nan")


def _key(subject: Subject, x: NDArray[np.float32], y: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(json.dumps([__version__, STEP, INPUT_DRAWS, INNER_DRAWS]).encode())
    for part in (subject.path.read_bytes(), x.tobytes(), y.tobytes()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _save(norms: JacobianNorms, path: Path, key: str) -> None:
    stream = io.BytesIO()
    arrays = {name: getattr(norms, name) for name in _ARRAYS}
    np.savez_compressed(stream, key=np.asarray(key), places=np.asarray(norms.places), **arrays)
    write_whole(path, stream.getvalue())


def _load(path: Path, key: str) -> JacobianNorms | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            return JacobianNorms(tuple(map(str, file["places"])), *(file[name] for name in _ARRAYS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _joined(parts: list[JacobianNorms]) -> JacobianNorms:
    arrays = (np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in _ARRAYS)
    return JacobianNorms(parts[0].places, *arrays)
