"""Make a sample file: attack clean samples; record what was done and what the float model then says."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata as packages
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy import __version__
from stq_deploy.attacks.base import Attack, Images
from stq_deploy.attacks.classifier import predict_classes
from stq_deploy.attacks.seeding import seeded
from stq_deploy.datasets.samples import CLEAN, Pixels, SampleSet
from stq_deploy.errors import StqError
from stq_deploy.network.input_format import InputFormat, quantize_input, unit_interval

BATCH = 64
STORAGE = ("uint8", "float32")
_RECORDED_PACKAGES = (
    "adversarial-robustness-toolbox", "tensorflow-cpu", "tensorflow", "tf-keras", "qkeras", "numpy",
)  # fmt: skip

Progress = Callable[[int], None]
"""Called with the number of samples finished so far."""


@dataclass(frozen=True)
class Target:
    """The model under attack.

    Attributes:
        classifier: ART classifier of the model, for pixels in [0, 1] (`art_classifier`).
        name: the model's name, for the record.
        file_sha256: SHA-256 (hex) of the model file.
        input_format: input of the integer network converted from it; if there is none, pixels of 8 bits.
        model_hash: `Network.sha256()` of that network; None if there is none.
    """

    classifier: Any
    name: str
    file_sha256: str
    input_format: InputFormat
    model_hash: str | None


def craft(
    target: Target,
    clean: SampleSet,
    attack: Attack | None,
    *,
    seed: int = 0,
    batch: int = BATCH,
    storage: str = "uint8",
    progress: Progress = lambda _: None,
) -> SampleSet:
    """Attack `clean` samples; with `attack` None they stay as they are, and the float model's word is added.

    Args:
        seed: with the batch's number it decides all that the attack draws; so the first samples' results do
            not depend on how many follow.
        batch: samples attacked together (the Square attack shares its draws within one).
        storage: "uint8" rounds the result to pixels, as a picture file would; "float32" keeps it, as features are kept.

    Returns:
        The samples with metadata: attack, settings, threat model, how many the float model gets right at each
        stage, its predictions after input quantisation (of features and a model that is not quantized: as they are),
        seed and versions.

    Raises:
        StqError: samples of another shape, labels the model has no class for, features to attack, or a result that is
            not finite.
    """
    _check_fits(target, clean, attack)
    x = unit_interval(clean.x)
    adversarial = x
    if attack is not None:
        adversarial = _perturb(attack, target.classifier, x, clean.y, seed, batch, progress)
    stored = _store(adversarial, "float32" if clean.holds_features else storage)
    seen = unit_interval(stored)
    quantized = target.model_hash is not None or not clean.holds_features  # else nobody knows the input's levels
    if quantized:
        seen = target.input_format.samples(quantize_input(stored, target.input_format))
    predictions = predict_classes(target.classifier, seen)
    correct = {
        "clean": _correct(target.classifier, x, clean.y),
        "attacked": _correct(target.classifier, adversarial, clean.y),
        "stored": _correct(target.classifier, unit_interval(stored), clean.y),
    }
    if quantized:
        correct["after_input_quantisation"] = int((predictions == clean.y).sum())
    kept = {k: clean.metadata[k] for k in ("dataset", "class_names", "source_indices", "range") if k in clean.metadata}
    metadata = kept | {
        "attack": _describe(attack, unit_interval(stored) - x),
        "seed": seed,
        "batch": batch,
        "versions": versions(),
        "float_model": {
            "name": target.name,
            "file_sha256": target.file_sha256,
            "model_hash": target.model_hash,
            "predictions": [int(p) for p in predictions],
            "correct": correct,
        },
    }
    return SampleSet(stored, clean.y, metadata)


def versions() -> dict[str, str]:
    """Versions of what takes part in an attack; a package that is not installed is left out."""
    found = {"python": platform.python_version(), "stq-deploy": __version__}
    for name in _RECORDED_PACKAGES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


def _perturb(
    attack: Attack,
    classifier: Any,
    x: Images,
    y: npt.NDArray[np.int64],
    seed: int,
    batch: int,
    progress: Progress,
) -> Images:
    parts = []
    for number, start in enumerate(range(0, len(x), batch)):
        part = slice(start, start + batch)
        with seeded(seed, number):
            result = attack.perturb(classifier, x[part].copy(), y[part])
        if not np.isfinite(result).all():
            raise StqError(
                f"the attack gave NaN or infinite pixels for samples {start} to {start + len(result) - 1}",
                where=f"attack {attack.name}",
                cause="the model's gradient is not finite there",
                next="look at the model's weights with `stq-deploy inspect`",
            )
        parts.append(np.clip(result, 0, 1).astype(np.float32))
        progress(start + len(result))
    return np.concatenate(parts)


def _store(x: Images, storage: str) -> Pixels:
    if storage == "uint8":
        pixels: npt.NDArray[np.uint8] = np.rint(x * np.float32(255)).astype(np.uint8)
        return pixels
    return x


def _correct(classifier: Any, x: Images, y: npt.NDArray[np.int64]) -> int:
    return int((predict_classes(classifier, x) == y).sum())


def _describe(attack: Attack | None, change: Images) -> dict[str, Any]:
    if attack is None:
        return {"name": CLEAN}
    flat = np.abs(change.reshape(len(change), -1)).astype(np.float64)
    return {
        "name": attack.name,
        "settings": attack.settings,
        "threat_model": (
            f"untargeted; {attack.access}; pixels (0..1) change by at most {attack.eps:.6g} in the L{attack.norm} norm"
        ),
        "largest_change": {
            "inf": float(flat.max()),
            "1": float(flat.sum(axis=1).max()),
            "2": float(np.sqrt((flat**2).sum(axis=1)).max()),
        },
    }


def _check_fits(target: Target, clean: SampleSet, attack: Attack | None) -> None:
    if clean.holds_features and attack is not None:
        raise StqError("the samples are features, and attacks change pixels", next="attack samples of pixels")
    if clean.x.shape[1:] != target.input_format.type.shape:
        raise StqError(
            f"samples have shape {clean.x.shape[1:]}, the model takes {target.input_format.type.shape}",
            next="choose samples made for this model",
        )
    classes = int(target.classifier.nb_classes)
    if clean.y.max() >= classes:
        raise StqError(
            f"a label is {clean.y.max()}, but the model has {classes} classes",
            cause="the samples belong to another data set",
        )
