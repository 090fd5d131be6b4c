"""Opens untrusted files: once, by descriptor, and only regular files.

A path may lead to a pipe or a device, which would block or never end, and may lead elsewhere a moment later. So the
descriptor is opened first, without waiting, and its kind is checked then.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import BinaryIO

from stq_deploy.common.errors import StqError

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, opened for reading.

    Raises:
        OSError: it is absent, a folder, or not permitted.
        StqError: it is a device, a pipe or a socket; the caller adds the path.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise StqError("it is a device or a pipe, not a file", next="give the path of a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        with suppress(OSError):  # an interrupt may find it closed by the file that `fdopen` was making
            os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The content of a file, of which at most `limit` + 1 bytes are read, so that the length shows a longer one.

    Raises:
        OSError, StqError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(limit + 1)
