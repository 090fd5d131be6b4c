"""The models and samples that come with this package, by name; nothing here needs TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from stq_deploy.errors import StqError

PREFIX = "zoo:"
DEFAULT_MODEL = "zoo:stq-cifar10"
SAMPLE_KINDS = ("clean", "fgsm", "pgd", "square")
"""Shipped sample files, in the order reports show them."""

_ZOO = Path(__file__).parent
_PRETRAINED = {"stq-cifar10": "stq_cifar10_gray", "fp-cifar10": "fp_cifar10_gray"}
_CONVERTED = ("stq-cifar10",)
"""Those that come as a network, too."""


def resolve_model(name_or_path: str | os.PathLike[str], *, keras: bool = False) -> Path:
    """The file behind `zoo:NAME`; any other text is a path already.

    Args:
        keras: for a zoo name, the Keras model (.h5) even where its converted network (.stq) comes with it.

    Raises:
        StqError: no model of this name comes with this package, or the path is no file.
    """
    text = os.fspath(name_or_path)
    shipped = text.startswith(PREFIX)
    path = _shipped_model(text.removeprefix(PREFIX), keras) if shipped else Path(text)
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


def _shipped_model(name: str, keras: bool) -> Path:
    if name not in _PRETRAINED:
        known = ", ".join(PREFIX + known for known in _PRETRAINED)
        raise StqError(
            f"no model {PREFIX + name!r} comes with stq-deploy", next=f"choose one of: {known}; or give a file"
        )
    suffix = ".h5" if keras or name not in _CONVERTED else ".stq"
    return _ZOO / "pretrained" / (_PRETRAINED[name] + suffix)
