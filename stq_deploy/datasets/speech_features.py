"""Clips of Speech Commands -> their features, computed once and kept in the cache."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.common.npy_member import read_arrays
from stq_deploy.datasets.fetch import cache_folder
from stq_deploy.datasets.mfcc import COEFFICIENTS, FRAMES, mfcc
from stq_deploy.datasets.speech_files import TESTING_LIST, VALIDATION_LIST
from stq_deploy.datasets.wav import read_clip

TRAINING, VALIDATION, TESTING = 0, 1, 2
"""The publisher's parts."""

_VERSION = 1  # version of the features: raise it with any change of their values
_AT_A_TIME = 1024
MAXIMUM_ARRAY_BYTES = 1 << 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeechFeatures:
    """Features of clips, in the order of their names.

    names: "WORD/NAME.wav" (N,); x: float32 (N, 49, 10); part: uint8 (N,), the publisher's part of each.
    """

    names: NDArray[np.str_]
    x: NDArray[np.float32]
    part: NDArray[np.uint8]

    @property
    def words(self) -> NDArray[np.str_]:
        """The word spoken in each clip (N,)."""
        return np.array([name.partition("/")[0] for name in self.names.tolist()], dtype=np.str_)


def compute_features(files: Iterable[tuple[str, bytes]], where: str) -> SpeechFeatures:
    """From the files of the data set, in any order.

    `where` names the data in errors. Raises StqError: no clip, a clip twice, an unreadable one, or a missing list.
    """
    names: list[str] = []
    parts: list[NDArray[np.float32]] = []
    lists: dict[str, set[str]] = {}
    clips: list[NDArray[np.int16]] = []
    for name, content in files:
        if not name.endswith(".wav"):
            lists[name] = set(content.decode("ascii", "replace").split())
            continue
        names.append(name)
        clips.append(read_clip(content, f"{where}: {name}"))
        if len(clips) == _AT_A_TIME:
            parts.append(mfcc(np.stack(clips)))
            clips.clear()
    if clips:
        parts.append(mfcc(np.stack(clips)))
    missing = [name for name in (VALIDATION_LIST, TESTING_LIST) if name not in lists]
    if missing or not names:
        raise StqError(
            f"there is no {missing[0] if missing else 'clip of the words wanted'}",
            where=where,
            cause="this is not Speech Commands v0.02, or only a part of it",
        )
    if len(set(names)) != len(names):
        raise StqError("a clip is there twice", where=where, cause="this is not the official archive")
    order = np.argsort(np.array(names))
    part = [
        TESTING if name in lists[TESTING_LIST] else VALIDATION if name in lists[VALIDATION_LIST] else TRAINING
        for name in names
    ]
    return SpeechFeatures(np.array(names)[order], np.concatenate(parts)[order], np.array(part, np.uint8)[order])


def cached_features(key: str, files: Iterable[tuple[str, bytes]], where: str) -> SpeechFeatures:
    """`compute_features`, or its stored result for the same `key`."""
    path = cache_folder() / "speech-commands" / f"mfcc-v{_VERSION}-{key[:32]}.npz"
    kept = _load(path)
    if kept is None:
        _log.warning("computing the audio features of %s, once: a minute or two", where)
        kept = compute_features(files, where)
        _save(kept, path)
    return kept


def _load(path: Path) -> SpeechFeatures | None:
    """The stored features; None if the file is absent or damaged."""
    try:
        file = read_arrays(path, MAXIMUM_ARRAY_BYTES)
        kept = SpeechFeatures(file["names"], file["x"], file["part"])
    except (OSError, ValueError, KeyError, StqError):
        return None
    count = len(kept.names)
    fits = kept.x.shape == (count, FRAMES, COEFFICIENTS) and kept.part.shape == (count,)
    return kept if fits and kept.x.dtype == np.float32 else None


def _save(features: SpeechFeatures, path: Path) -> None:
    """Write the file completely or not at all. A full or read-only disk only costs the computation again."""
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, names=features.names, x=features.x, part=features.part)
        Path(beside).replace(path)
    except OSError as error:
        _log.warning("cannot keep the audio features in %s: %s", path, error)
        if beside is not None:
            Path(beside).unlink(missing_ok=True)
