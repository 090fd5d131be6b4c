"""What the firmware builds of one test run compile, kept: the next build of equal sources takes the same objects.

Most of a build's time goes into the server, the link and the kernels, which are the same in every build. An object is
taken again only if its command, its compiler, its source and every file that these may include are equal, to the byte.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stq_deploy.toolchain.compile import Builder

_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]', re.MULTILINE)
_INCLUDED_OTHERWISE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[^"< \t]|\.incbin', re.MULTILINE)


class ObjectCache:
    """Kept objects, with what the compiler writes beside them.

    Attributes:
        folder: one folder for each object; the processes of a test run share it.
        on: whether builds look for objects here; all that they compile is kept in any case.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on = True
        self._compile = Builder._run

    @contextmanager
    def used(self) -> Iterator[None]:
        """Every firmware build of this process uses the cache."""
        cache = self

        def run(builder: Builder, command: list[str], **told: Any) -> None:
            cache._run(builder, command, **told)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Builder, "_run", run)
            yield

    @contextmanager
    def unused(self) -> Iterator[None]:
        """Builds compile every source, as they do outside the tests."""
        self.on = False
        try:
            yield
        finally:
            self.on = True

    def _run(self, builder: Builder, command: list[str], **told: Any) -> None:
        identity = self._identity(builder, command) if "-c" in command else None
        if identity is None:
            self._compile(builder, command, **told)
            return
        target = builder.project.folder / command[-1]
        kept = self.folder / identity
        if self.on and kept.is_dir():
            for path in kept.iterdir():
                shutil.copyfile(path, target.parent / path.name)
            return
        self._compile(builder, command, **told)
        if not kept.is_dir():
            self._keep(target, kept)

    def _keep(self, target: Path, kept: Path) -> None:
        """Copy an object and the files beside it that have its name: the first process that has them counts."""
        beside = Path(tempfile.mkdtemp(dir=self.folder, prefix="part-"))
        for path in target.parent.glob(f"{target.stem}.*"):
            shutil.copyfile(path, beside / path.name)
        try:
            beside.rename(kept)
        except OSError:
            shutil.rmtree(beside)

    @staticmethod
    def _identity(builder: Builder, command: list[str]) -> str | None:
        """Hash over all that decides an object; None if it cannot be known."""
        folder = builder.project.folder
        files = _closure(folder, command[command.index("-c") + 1], builder.project.include_folders)
        program = shutil.which(command[0])
        if files is None or program is None:
            return None
        digest = hashlib.sha256()
        compiler = Path(program).resolve()
        for word in (
            *(word.replace(str(folder.absolute()), ".") for word in command),
            builder.compiler.version, str(compiler), str(compiler.stat().st_mtime_ns),
            *(f"{name}={value}" for name, value in sorted(builder.compiler.environment.items())),
        ):  # fmt: skip
            digest.update(word.encode() + b"\0")
        for name, content in sorted(files.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()


def _closure(folder: Path, source: str, include_folders: tuple[str, ...]) -> dict[str, bytes] | None:
    """Path -> content of a source and of all project files that it may include, whatever conditions say.

    The version of the compiler stands for its own headers. None if an include is not
    written out.
    """
    found: dict[str, bytes] = {}
    waiting = [source]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        content = found[name] = (folder / name).read_bytes()
        if _INCLUDED_OTHERWISE.search(content):
            return None
        for included in _INCLUDE.findall(content):
            for place in (Path(name).parent.as_posix(), *include_folders):
                if (folder / place / included.decode()).is_file():  # the same name elsewhere may shadow it: all count
                    waiting.append(f"{place}/{included.decode()}")
    return found
