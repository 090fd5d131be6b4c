"""Fetch a public file once, check it, keep it."""

from __future__ import annotations

import http.client
import logging
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import IO

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.checksum import sha256
from stq_deploy.datasets.source import PublicFile

_log = logging.getLogger(__name__)
_TIMEOUT = 30.0
_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Folder of fetched files and results computed from them: $XDG_CACHE_HOME (or LOCALAPPDATA, or ~/.cache) /
    stq-deploy.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "stq-deploy"


def in_words(size: int) -> str:
    """A number of bytes for people, in powers of ten: 2.43 GB, 64.3 MB, 5.15 KB."""
    value = float(size)
    for unit in ("bytes", "KB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def fetch(file: PublicFile, folder: str, by_hand: str) -> Path:
    """The kept copy of `file`, in `folder` of the cache; fetched if there is none, or a damaged one.

    At most the file's known size is read. Raises StqError with the advice `by_hand` if the file cannot be fetched or is
    not the known one. Nothing of it is left then.
    """
    path = cache_folder() / folder / file.name
    if path.is_file() and path.stat().st_size == file.size and sha256(path) == file.sha256:
        return path
    _log.warning("fetching %s (%s) to %s", file.address, in_words(file.size), path)
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        beside = Path(name)
        # S310 fears file: addresses; ours are constants of this package, and the content is checked below.
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(file.address, timeout=_TIMEOUT) as answer:  # noqa: S310
            _copy(answer, out, file, by_hand)
        if beside.stat().st_size != file.size or sha256(beside) != file.sha256:
            raise StqError(
                f"the fetched file is not the known one: {beside.stat().st_size} bytes with SHA-256 {sha256(beside)}, "
                f"not {file.size} with {file.sha256}",
                where=file.address,
                cause="an interrupted download, or a proxy that answers in its place",
                next=by_hand,
            )
        beside.replace(path)
    except (OSError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise StqError(
            "cannot fetch the data",
            where=file.address,
            cause=f"no network, or no room in the cache ({error})",
            next=by_hand,
        ) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)
    return path


def _copy(answer: IO[bytes], out: IO[bytes], file: PublicFile, by_hand: str) -> None:
    left = file.size
    while chunk := answer.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise StqError(
                f"the answer is longer than the {file.size} bytes of the known file",
                where=file.address,
                cause="a proxy that answers in its place, or a new version of the file",
                next=by_hand,
            )
        out.write(chunk)
