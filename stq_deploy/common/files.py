"""Reads and writes files without losing the user's: complete or not at all, bounded, locked, with errors in words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.regular_file import read_regular

if sys.platform != "win32":
    import fcntl

MAXIMUM_TEXT_BYTES = 1 << 20
"""Largest recipe, board file or other text written by people."""
MAXIMUM_JSON_BYTES = 64 << 20
"""Largest record written by programs."""
PART = ".part"
"""Ending of unfinished files."""
_NEXT = {
    errno.ENOSPC: "free some space, or choose a place on another disk",
    errno.EDQUOT: "free some space, or choose a place on another disk",
    errno.EFBIG: "choose a place that takes larger files",
    errno.EACCES: "choose a place you may write to",
    errno.EPERM: "choose a place you may write to",
    errno.EROFS: "choose a place you may write to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of the path is a file: choose another output path",
    errno.EEXIST: "a part of the path is a file: choose another output path",
    errno.ELOOP: "symbolic links of the path lead in a circle: choose another output path",
}


def encoded(text: str) -> bytes:
    """UTF-8, with backslash escapes for lone surrogates, which names of files and models may contain."""
    return text.encode("utf-8", "backslashreplace")


def cannot_write(error: OSError, where: str | os.PathLike[str]) -> StqError:
    """The operating system's refusal in words, with what to do about it."""
    next = _NEXT.get(error.errno or 0, "choose another output path")
    return StqError(f"cannot write: {error.strerror or error}", where=os.fspath(where), next=next)


@contextmanager
def writing(where: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the operating system's refusals within the block into an StqError."""
    try:
        yield
    except OSError as error:
        raise cannot_write(error, where) from error


def resolved(path: str | os.PathLike[str]) -> Path:
    """The absolute path, without `.`, `..` and symbolic links, to which a file of this name is written.

    Raises:
        StqError: links form a circle, the name is too long, or the working directory is gone.
    """
    try:
        found = Path(path).resolve()
        with contextlib.suppress(FileNotFoundError):
            found.stat()  # before Python 3.13, `resolve` accepts too long names and some circles
    except RuntimeError as error:  # how Python before 3.13 reports a circle
        raise cannot_write(OSError(errno.ELOOP, os.strerror(errno.ELOOP)), path) from error
    except OSError as error:
        raise cannot_write(error, path) from error
    return found


def write_whole(path: str | os.PathLike[str], content: bytes | str, *, parents: bool = True) -> None:
    """Write a file beside its destination, then rename it. A symbolic link stays one: its target is written.

    Args:
        parents: make the folder if it is absent.

    Raises:
        StqError: the destination cannot be written, or is a folder or device.
    """
    data = encoded(content) if isinstance(content, str) else content
    with writing(path):
        place = resolved(path)
        _check_regular(place)
        if parents:
            place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".stq-", suffix=PART, dir=place.parent)
        beside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            beside.chmod(0o644)
            beside.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def check_output(
    path: str | os.PathLike[str],
    *,
    what: str,
    recognize: Callable[[Path], bool],
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    parents: bool = True,
    force: bool = False,
    force_option: bool = True,
) -> None:
    """Refuse, before any work, an output file that cannot be written or would replace something of the user's.

    Args:
        what: the kind of output, as in "a network (.stq)".
        recognize: whether an existing file is a former output of this kind, which may be replaced.
        inputs: files that the command reads, never replaced without `force`.
        parents: whether the folder may be absent; it is then made.
        force: the user wants any existing file replaced.
        force_option: whether the command has an option --force, for the advice.

    Raises:
        StqError: the destination is a folder or device, cannot be reached or written, or is another file.
    """
    place = resolved(path)
    with writing(path):
        _check_regular(place)
        _check_reachable(place, parents)
    if force or not place.exists():
        return
    advice = "choose another output path" + (", or replace it with --force" if force_option else "")
    if any(source is not None and _same(place, Path(source)) for source in inputs):
        raise StqError("the output would replace a file that the command reads", where=str(path), next=advice)
    if not recognize(place):
        raise StqError(f"there is a file already, and it is not {what}", where=str(path), next=advice)


@contextmanager
def made_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder, without links and dots in its name, made if it is absent; removed again if the block fails.

    Raises:
        StqError: it is a file, or cannot be made.
    """
    place = resolved(path)
    if place.exists() and not place.is_dir():
        raise StqError("the output folder is a file", where=str(path), next="choose another output folder")
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        with writing(path):
            place.mkdir(parents=True, exist_ok=True)
        yield place
    except BaseException:
        for folder in made:  # only empty folders: what the block left on purpose stays
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Lock a folder for this process: no other command changes it, and with `shared` others may read it meanwhile.

    The lock ends with the process in any case. A file system without locks gives none.

    Raises:
        StqError: another stq-deploy command uses the folder.
    """
    if sys.platform == "win32":
        yield
        return
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StqError(
                "another stq-deploy command is using this folder",
                where=str(folder),
                next="wait for its end, or choose another folder with --out",
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def read_bounded(path: str | os.PathLike[str], maximum: int = MAXIMUM_TEXT_BYTES) -> str:
    """A text file (UTF-8) of at most `maximum` bytes; at most that much of a device or FIFO is read.

    Raises:
        OSError: it cannot be read, or is a folder.
        UnicodeDecodeError: it is not text.
        StqError: it is too large, or a device or pipe.
    """
    try:
        content = read_regular(path, maximum)
    except StqError as error:
        raise StqError(error.what, where=os.fspath(path), next=error.next) from error
    if len(content) > maximum:
        raise StqError(
            f"the file has more than the {maximum:,} bytes allowed",
            where=os.fspath(path),
            cause="it is something else under this name",
            next="check the path",
        )
    return content.decode("utf-8")


def is_record(path: Path, format: str) -> bool:
    """Whether a file is a JSON object of this `format`, so a former output of the command that writes them."""
    try:
        record = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError, StqError):
        return False
    return isinstance(record, dict) and record.get("format") == format


def _check_regular(place: Path) -> None:
    """Renaming onto a device or FIFO would replace it: /dev/null itself, as root."""
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise StqError("cannot write: this is a folder", where=str(place), next="name a file in it")
    if not stat.S_ISREG(mode):
        raise StqError("cannot write: this is a device or pipe", where=str(place), next="name a file")


def _check_reachable(place: Path, parents: bool) -> None:
    """Whether folder and file can be made, as far as that is visible without doing it."""
    folder = place.parent
    while parents and not folder.exists():
        folder = folder.parent
    if not folder.exists():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _same(place: Path, source: Path) -> bool:
    try:
        return place.samefile(source)
    except OSError:
        return False
