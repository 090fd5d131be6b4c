"""The package's models and samples by name; nothing here needs TensorFlow."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.file_kinds import folder_kind
from stq_deploy.zoo.run_record import ShippedRecord

if TYPE_CHECKING:
    from stq_deploy.network import Network

PREFIX = "zoo:"
DEFAULT_MODEL = "zoo:stq-cifar10"
ROBUST_MODEL = "zoo:robust-stq-cifar10"
"""The demo runs it beside `DEFAULT_MODEL`, once it is among the shipped models."""
CONVERTED = (DEFAULT_MODEL, ROBUST_MODEL)
"""The demo's networks, which come converted too. Others are converted on demand, which takes seconds."""
ROBUST_KINDS = ("clean", "worst")
"""Shipped sample files of `ROBUST_MODEL`."""
SAMPLE_KINDS = ("clean", "fgsm", "pgd", "square", "worst")
"""Shipped sample files, in the order reports show them."""

_ZOO = Path(__file__).parent
_PRETRAINED = _ZOO / "pretrained"


@dataclass(frozen=True)
class ShippedModel:
    """A trained model of the package: its files are `zoo/pretrained/NAME.*`.

    Attributes:
        record: its record from training and export (`research/training/pretrained.py`).
        folder: the folder of its files.
    """

    name: str
    record: ShippedRecord
    folder: Path = _PRETRAINED

    @property
    def keras(self) -> Path:
        """The Keras model."""
        return self.folder / self.record.model.file

    @property
    def network(self) -> Path:
        """The network converted from it; only models in `CONVERTED` have one."""
        return self._file(".stq")

    @property
    def card(self) -> Path:
        """Its card, as text (`card.py`)."""
        return self._file(".md")

    def _file(self, ending: str) -> Path:
        return self.folder / (self.name + ending)


@cache
def shipped_models() -> dict[str, ShippedModel]:
    """Name -> model, sorted by data set and name."""
    files = _PRETRAINED.glob("*.json")
    records = {path.stem: ShippedRecord.from_json(json.loads(path.read_text())) for path in files}
    ordered = sorted(records, key=lambda name: (records[name].config.dataset, name))
    return {name: ShippedModel(name, records[name]) for name in ordered}


def resolve_model(name_or_path: str | os.PathLike[str], *, keras: bool = False) -> Path:
    """The file behind `zoo:NAME`; any other text is a path already.

    Args:
        keras: for a zoo name, the Keras model (.keras) even where its converted network (.stq) comes with it.

    Raises:
        StqError: the package has no model of this name, or the path is not a file.
    """
    text = os.fspath(name_or_path)
    shipped = text.startswith(PREFIX)
    path = _shipped_model(text.removeprefix(PREFIX), keras) if shipped else Path(text)
    if path.is_dir():
        raise folder_kind(path).error(str(path))
    if path.exists() and not path.is_file():
        raise StqError(
            "it is a device or a pipe, not a model file",
            where=str(path),
            cause="the path leads to something without an end or a content of its own, such as <(...) of a shell",
            next="write the model to a file, and give its path",
        )
    if not path.is_file():
        raise StqError(
            "there is no such model file",
            where=str(path),
            next=f"check the path, or use the shipped network: {DEFAULT_MODEL}",
        )
    return path


def shipped_samples() -> dict[str, Path]:
    """Kind -> sample file made for the shipped STQ CIFAR-10 network, in `SAMPLE_KINDS`' order."""
    return {kind: _ZOO / "samples" / f"{kind}.npz" for kind in SAMPLE_KINDS}


def robust_samples() -> dict[str, Path]:
    """Kind -> sample file made for `ROBUST_MODEL`, in `ROBUST_KINDS`' order; empty if the package has no such model."""
    name = ROBUST_MODEL.removeprefix(PREFIX)
    folder = _ZOO / "samples" / name
    return {kind: folder / f"{kind}.npz" for kind in ROBUST_KINDS} if name in shipped_models() else {}


def with_class_names(network: Network, model: str) -> Network:
    """The network with the names of its classes, if `model` is `zoo:NAME`: its record states them."""
    shipped = shipped_models().get(model.removeprefix(PREFIX)) if model.startswith(PREFIX) else None
    if shipped is None:
        return network
    return replace(network, metadata=replace(network.metadata, class_names=shipped.record.classes))


def _shipped_model(name: str, keras: bool) -> Path:
    models = shipped_models()
    if name not in models:
        known = [PREFIX + known for known in models]
        raise no_such(f"no model {PREFIX + name!r} comes with stq-deploy", PREFIX + name, known, also="or give a file")
    model = models[name]
    return model.keras if keras or not model.network.is_file() else model.network
