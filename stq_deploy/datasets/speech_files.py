"""The relevant files of Google Speech Commands, from the official archive or a folder of its content."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from stq_deploy.common.errors import StqError

VALIDATION_LIST, TESTING_LIST = "validation_list.txt", "testing_list.txt"
MAXIMUM_CLIP_BYTES = 1 << 20  # a clip of one second has 32,044
MAXIMUM_LIST_BYTES = 8 << 20
MAXIMUM_ARCHIVE_BYTES = 16 << 30
"""Most bytes of the archive's content; the official one has about 3.8 GB."""

# A clip's path is WORD/NAME.wav and nothing else. Nothing is ever written under a name from the archive.
_CLIP = re.compile(r"([a-z]+)/([0-9A-Za-z_]+)\.wav")


def archive_files(path: Path, words: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Path within the data set and content, of the two lists and of the words' clips, in the archive's order.

    The .tar.gz is read as a stream and not unpacked. Links, devices and files of other names are ignored. Raises
    StqError for a damaged archive, one with a file larger than it can be, or one with too much content.
    """
    total = 0
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                total += member.size
                if total > MAXIMUM_ARCHIVE_BYTES:
                    raise StqError(
                        f"the archive unpacks to more than {MAXIMUM_ARCHIVE_BYTES} bytes",
                        where=str(path),
                        cause="this is not the official archive",
                    )
                name = member.name.removeprefix("./")
                limit = _limit(name, words)
                if limit is None or not member.isreg():
                    continue
                file = archive.extractfile(member)
                if file is None or member.size > limit:
                    raise StqError(f"{name} has {member.size} bytes, which is too many", where=str(path))
                yield name, file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise StqError(
            "cannot read the archive",
            where=str(path),
            cause=f"it is truncated, damaged, or not a .tar.gz file ({error})",
            next="fetch it again",
        ) from error


def folder_files(folder: Path, words: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """As `archive_files`, from a folder, in the order of the names."""
    paths = [folder / VALIDATION_LIST, folder / TESTING_LIST]
    for word in words:
        paths += sorted((folder / word).glob("*.wav"))
    for path in paths:
        name = path.relative_to(folder).as_posix()
        limit = _limit(name, words)
        if limit is None:
            continue
        try:
            with path.open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise StqError(f"cannot read the file: {error.strerror}", where=str(path)) from error
        if len(content) > limit:
            raise StqError(f"the file has more than {limit} bytes, which is too many", where=str(path))
        yield name, content


def _limit(name: str, words: tuple[str, ...]) -> int | None:
    """Largest size of the file in bytes; None if the file is not needed."""
    if name in (VALIDATION_LIST, TESTING_LIST):
        return MAXIMUM_LIST_BYTES
    clip = _CLIP.fullmatch(name)
    return MAXIMUM_CLIP_BYTES if clip and clip[1] in words else None
