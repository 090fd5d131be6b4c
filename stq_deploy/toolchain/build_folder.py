"""The folder of a build: only files that a build wrote and lists are replaced, all together or none.

A new build is made in `.stq-build.new` within the folder. When it is complete, the former build's files move to
`.stq-build.old`, the new ones to their places, and `.stq-build.old` is removed. If anything interrupts that, the next
command that uses the folder moves the former files back. The exchange takes effect when `.stq-build.old` is renamed to
`.stq-build.gone`, which then only has to be removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import (
    MAXIMUM_JSON_BYTES,
    MAXIMUM_TEXT_BYTES,
    locked,
    made_folder,
    read_bounded,
    resolved,
    write_whole,
    writing,
)

FORMAT = "stq-build"
REPORT = "build.json"
IMAGES = ("firmware.elf", "firmware.bin", "firmware.hex", "firmware.map")
"""Files that `make` in the folder rewrites; they may differ from the build's."""
_NEW, _OLD, _GONE = ".stq-build.new", ".stq-build.old", ".stq-build.gone"
_JOURNAL = "journal.json"
_SHOWN = 5

Files = Mapping[str, str]
"""Path of a file, relative to the build's folder -> SHA-256 (hex) of what the build wrote into it."""


@contextmanager
def replaced_build(out: str | os.PathLike[str]) -> Iterator[tuple[Path, Path]]:
    """(`out` without links and dots, an empty folder in it to fill); the filled one then replaces the former build.

    Files of `out` that no build of ours lists stay unchanged. On an exception the former build stays, and an `out`
    made for this is removed again.

    Raises:
        StqError: `out` is a file, the root, in use, cannot be written, or holds something that is not a build; or a
            file that the former build wrote has been changed since, or a foreign one is in the way of a new one.
    """
    if resolved(out).parent == resolved(out):
        raise StqError("the output folder is the root of the file system", where=str(out), next="choose another folder")
    with made_folder(out) as place, locked(place), writing(out):
        roll_back(place)
        former = _former_files(place, out)
        fresh = place / _NEW
        _remove(fresh)
        _remove(place / _GONE)
        fresh.mkdir()
        try:
            yield place, fresh
            _check_unlisted(place, fresh, former, out)
            _swap(place, fresh, former)
        finally:
            _remove(fresh)


def listed_files(folder: Path) -> dict[str, str]:
    """The list of a complete build in `folder`: every file except the report itself."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: _sha256(path) for name, path in names.items() if name != REPORT}


def roll_back(folder: Path) -> None:
    """Undo an unfinished exchange of builds, so that the former build is complete again.

    Raises:
        StqError: the folder cannot be written.
    """
    old = folder / _OLD
    if not old.is_dir():
        return
    with writing(folder):
        try:
            moved = json.loads(read_bounded(old / _JOURNAL, MAXIMUM_JSON_BYTES))
        except (OSError, ValueError, RecursionError):
            moved = None  # killed while it was written, before anything moved
        for name in moved if isinstance(moved, list) else ():
            if isinstance(name, str) and _is_inside(name) and not (folder / _NEW / name).exists():
                (folder / name).unlink(missing_ok=True)
        for path in sorted(path for path in (old / "files").rglob("*") if not path.is_dir()):
            _move(path, folder / path.relative_to(old / "files"))
        _remove(old)


def settle(folder: Path) -> None:
    """`roll_back` for a folder that this process does not hold.

    Raises:
        StqError: it is in use, or cannot be written.
    """
    if (folder / _OLD).is_dir():
        with locked(folder):
            roll_back(folder)


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of the build in `folder`; None if there is none of ours.

    Raises:
        StqError: it is larger than any build's.
    """
    try:
        report = json.loads(read_bounded(folder / REPORT, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) and report.get("format") == FORMAT else None


def _former_files(place: Path, out: str | os.PathLike[str]) -> Files:
    """The files of the build there, which may be replaced; none if the folder is empty."""
    if all(path.name in (_NEW, _GONE) for path in place.iterdir()):
        return {}
    report = read_report(place)
    if report is None:
        raise StqError(
            "the output folder holds something that is not a build",
            where=str(out),
            next="choose another output folder, or empty that one",
        )
    files = report.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(name, str) and _is_inside(name) and isinstance(digest, str) for name, digest in files.items()
    ):
        raise StqError(
            "the build there does not list its files, so nobody knows which may be replaced",
            where=str(out),
            cause="an earlier version of stq-deploy made it, or build.json was changed",
            next="choose another output folder, or remove that build yourself",
        )
    changed = [name for name, digest in files.items() if _is_changed(place / name, digest, name in IMAGES)]
    if changed:
        raise StqError(
            f"files of the former build were changed since: {_some(changed)}",
            where=str(out),
            next="move your changes elsewhere and remove these files, or choose another output folder",
        )
    return {**files, REPORT: ""}


def _is_changed(path: Path, digest: str, made_anew: bool) -> bool:
    if not _is_there(path):
        return False
    found = _sha256(path)
    return not found if made_anew else found != digest


def _check_unlisted(place: Path, fresh: Path, former: Files, out: str | os.PathLike[str]) -> None:
    """Check that no file of the new build replaces one that the former build did not write."""
    names = [path.relative_to(fresh).as_posix() for path in sorted(fresh.rglob("*")) if path.is_file()]
    taken = [name for name in names if _in_the_way(place, name, former)]
    if taken:
        raise StqError(
            f"files that no build wrote are in the way: {_some(taken)}",
            where=str(out),
            next="move them elsewhere, or choose another output folder",
        )


def _in_the_way(place: Path, name: str, former: Files) -> bool:
    """Whether the file cannot be put there: something has its name, or a folder of its path is none of its own."""
    parents = [place / parent for parent in PurePosixPath(name).parents if parent != PurePosixPath(".")]
    if any(_is_there(parent) and not _is_plain_folder(parent) for parent in parents):
        return True
    return name not in former and _is_there(place / name)


def _swap(place: Path, fresh: Path, former: Files) -> None:
    new = [path.relative_to(fresh).as_posix() for path in sorted(fresh.rglob("*")) if path.is_file()]
    old = place / _OLD
    with _undisturbed():
        try:
            old.mkdir()
            write_whole(old / _JOURNAL, json.dumps(new))
            for name in former:
                if _is_there(place / name) and _is_inside_plain_folders(place, name):
                    _move(place / name, old / "files" / name)
            for name in new:
                _move(fresh / name, place / name)
        except BaseException:
            roll_back(place)
            raise
        old.rename(place / _GONE)
        _remove(place / _GONE)
        _remove_empty_folders(place, former)


def _remove_empty_folders(place: Path, former: Files) -> None:
    """Folders that only the former build needed."""
    folders = {parent for name in former for parent in PurePosixPath(name).parents if parent != PurePosixPath(".")}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        with contextlib.suppress(OSError):
            (place / folder).rmdir()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Delays Ctrl-C and other signals until the block's few renames are done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda found, _: caught.append(found)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught:
            signal.raise_signal(number)


def _is_inside(name: str) -> bool:
    """Whether a listed name, which may be anybody's text, is a path within the folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_inside_plain_folders(place: Path, name: str) -> bool:
    """A folder of the path that is a link leads to something that no build wrote."""
    return all(_is_plain_folder(place / parent) for parent in PurePosixPath(name).parents)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _remove(folder: Path) -> None:
    """Only for our own two folders; a link of that name is removed, and its target stays."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: Path) -> str:
    """Empty for anything except a regular file, and so equal to no digest."""
    if path.is_symlink() or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MAXIMUM_TEXT_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
