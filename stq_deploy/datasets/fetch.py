"""Fetch a public file once, check it, keep it."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from stq_deploy.errors import StqError

_log = logging.getLogger(__name__)
_TIMEOUT = 30.0


def cache_folder() -> Path:
    """Where fetched files are kept: $XDG_CACHE_HOME (or LOCALAPPDATA, or ~/.cache) / stq-deploy."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "stq-deploy"


def md5(path: Path) -> str:
    """Hex digest of a file; the publisher gives md5 sums. It finds damage, not malice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(address: str, expected_md5: str) -> Path:
    """The cached copy of `address`, fetched if need be.

    Raises StqError if it cannot be had or is not the known file.
    """
    path = cache_folder() / address.rsplit("/", 1)[-1]
    if path.is_file() and md5(path) == expected_md5:
        return path
    _log.warning("fetching %s to %s", address, path)
    by_hand = f"fetch {address} by hand and give it with --data, or set STQ_DEPLOY_DATA to it"
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        beside = Path(name)
        # S310 fears file: addresses; ours are constants of this package, and the md5 is checked below.
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310
            shutil.copyfileobj(answer, file)
        found = md5(beside)
        if found != expected_md5:
            raise StqError(
                f"the fetched file is not the known one: its md5 is {found}, not {expected_md5}",
                where=address,
                cause="an interrupted download, or a proxy that answers in its place",
                next=by_hand,
            )
        beside.replace(path)
    except OSError as error:  # urllib's errors are OSErrors too
        raise StqError(
            "cannot fetch the data",
            where=address,
            cause=f"no network, or no room in the cache ({error})",
            next=by_hand,
        ) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)
    return path
