"""Finds a data set's files: named by the user, in $STQ_DEPLOY_DATA, installed, or fetched."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.checksum import sha256
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.fetch import fetch, in_words
from stq_deploy.datasets.npz import load_npz
from stq_deploy.datasets.source import DataSource, SourceForm

DATA_VARIABLE = "STQ_DEPLOY_DATA"

_log = logging.getLogger(__name__)


def load(source: DataSource, path: Path | None) -> Dataset:
    """Read the data set from `path` (a file or folder) if given. Otherwise use the first place that has it: the file or
    folder $STQ_DEPLOY_DATA, the folders of installed packages, the public files.

    A folder may hold the files themselves, or a folder (`DataSource.folder`) that does.
    Raises StqError, which states what to fetch by hand, if no data are found or they cannot be read.
    """
    variable = os.environ.get(DATA_VARIABLE)
    if path is None and (not variable or Path(variable).is_dir()):
        return _first_of(source, ((Path(variable),) if variable else ()) + source.installed)
    named = path if path is not None else Path(variable or "")
    if named.is_dir():
        found = _in_folder(source, named)
        if found is None:
            raise StqError(
                f"no {source.title} in the folder",
                where=str(named),
                cause=f"looked for {_wanted(source)}",
                next=_by_hand(source),
            )
        return _read(source, *found)
    if not named.is_file():
        raise StqError("no such data file", where=str(named), next=_by_hand(source))
    return _read(source, *_around_file(source, named))


def _first_of(source: DataSource, folders: tuple[Path, ...]) -> Dataset:
    for folder in folders:
        found = _in_folder(source, folder)
        if found is not None:
            return _read(source, *found)
    if not source.public:
        raise StqError(
            f"no {source.title} on this computer",
            where=DATA_VARIABLE,
            cause=f"looked for {_wanted(source)} in: {', '.join(map(str, folders)) or 'no folder, as none is named'}",
            next=_by_hand(source),
        )
    names = tuple(file.name for file in source.public)
    (form,) = (form for form in source.forms if form.files == names)
    return _read(source, form, tuple(fetch(file, source.folder, _by_hand(source)) for file in source.public))


def _in_folder(source: DataSource, folder: Path) -> tuple[SourceForm, tuple[Path, ...]] | None:
    for form in _forms(source):
        for place in (folder / source.folder, folder):
            paths = tuple(place / file for file in form.files)
            if all(path.is_file() for path in paths):
                return form, paths
    return None


def _around_file(source: DataSource, path: Path) -> tuple[SourceForm, tuple[Path, ...]]:
    """The form to which `path` belongs, by its name; else, if the form is one file, by the name's ending.

    An .npz file may replace any set.
    """
    if path.suffix == ".npz":
        return _npz(source, path.name), (path,)
    for form in source.forms:
        if path.name in form.files:
            paths = tuple(path.with_name(file) for file in form.files)
            missing = [other.name for other in paths if not other.is_file()]
            if missing:
                raise StqError(f"{', '.join(missing)} must lie beside it", where=str(path), next=_by_hand(source))
            return form, paths
    for form in source.forms:
        if len(form.files) == 1 and path.suffix and form.files[0].endswith(path.suffix):
            return form, (path,)
    raise StqError(
        f"this is not a file of {source.title}", where=str(path), next=f"name a folder that holds {_wanted(source)}"
    )


def _forms(source: DataSource) -> tuple[SourceForm, ...]:
    return (*(_npz(source, name) for name in source.prepared), *source.forms)


def _npz(source: DataSource, name: str) -> SourceForm:
    return SourceForm((name,), lambda paths: load_npz(paths[0], source.name, source.classes))


def _read(source: DataSource, form: SourceForm, paths: tuple[Path, ...]) -> Dataset:
    known = {file.name.removesuffix(".gz"): (file.sha256, *file.repacked) for file in source.public}
    for path in paths:
        digests = known.get(path.name.removesuffix(".gz"))
        if digests is not None and sha256(path) not in digests:
            _log.warning("%s is not the published file (its SHA-256 is %s)", path, sha256(path))
    return form.read(paths)


def _wanted(source: DataSource) -> str:
    return "; or ".join(" with ".join(form.files) for form in _forms(source))


def _by_hand(source: DataSource) -> str:
    if not source.public:
        return source.advice
    files = ", ".join(f"{file.address} ({in_words(file.size)}) as {file.name}" for file in source.public)
    fetch_them = f"fetch by hand {files}, and name the folder with --data or in {DATA_VARIABLE}"
    return f"{fetch_them}; or {source.advice}" if source.advice else fetch_them
