"""Running the compiler: an object per source, then the link; a log of it all, and errors for people."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.project import FAST_SOURCES, LINKER_SCRIPT, Project

OBJECTS = "objects"
JOBS = 2
COMPILE_TIMEOUT_S = 300.0
SHOWN_ERRORS = 5
LOG_TITLE = "stq-deploy: log of a build that failed"
"""First line of the log: what the next build may replace or remove."""
_ENDED_FROM_OUTSIDE = {-signal.SIGINT, -signal.SIGTERM, -getattr(signal, "SIGHUP", signal.SIGTERM)}
NO_SPACE = os.strerror(errno.ENOSPC)


@dataclass
class Builder:
    """Compiles and links one project; commands and their output collect in `log`.

    Attributes:
        log_path: where the log is written when something fails.
    """

    project: Project
    board: Board
    compiler: Compiler
    log_path: Path
    log: list[str] = field(default_factory=list)

    @property
    def cpu_flags(self) -> list[str]:
        return self.board.cpu.flags[self.compiler.family]

    @property
    def flags(self) -> list[str]:
        """Everything that shapes the image and is not a path of this machine."""
        compiler = self.compiler
        return [*self.cpu_flags, *compiler.compile_flags, *compiler.small_flags, *compiler.link_flags]

    def compile(self, sources: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> list[str]:
        """Compile `sources`; returns their objects, both relative to the project.

        Args:
            progress: called with the number done.

        Raises:
            StqError: a source does not compile, or the compiler does not come to an end.
        """
        objects = []
        with ThreadPoolExecutor(JOBS) as pool:
            try:
                progress(0)
                for target in pool.map(self._compile_one, sources):
                    objects.append(target)
                    progress(len(objects))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # at Ctrl-C nobody waits for the rest
                raise
        return objects

    def link(
        self,
        objects: Sequence[str],
        elf: str,
        map_file: str,
        *,
        script: str = LINKER_SCRIPT,
        entry: str | None = None,
    ) -> None:
        """Link into `elf`, with the linker's map beside it where there is one.

        Args:
            entry: the function that everything else is reached from; None: the board's.

        Raises:
            StqError: the link fails.
        """
        command = [
            *self._driver(), *self.cpu_flags, *self.compiler.link_flags,
            f"-Wl,--entry={entry or self.board.stack.entry}", "-T", script,
            *objects, *self.compiler.libraries, "-o", elf,
        ]  # fmt: skip
        if self.compiler.family == "gcc":  # zig's driver refuses -Map
            command.append(f"-Wl,-Map={map_file}")
        self._run(command, what="the firmware does not link", where=elf)

    def write_log(self) -> str:
        """Write the log to `log_path`, unless another file is there; returns the path, or why not."""
        try:
            if self.log_path.exists() and not self._is_log():
                return f"not kept: {self.log_path} is another file"
            write_whole(self.log_path, "\n".join([LOG_TITLE, *self.log]) + "\n")
        except (OSError, StqError) as error:  # the folder beside may be read-only: the failure itself matters more
            return f"not kept: {error.what if isinstance(error, StqError) else error.strerror}"
        return str(self.log_path)

    def remove_log(self) -> None:
        """Remove the log that a former failure has left."""
        with contextlib.suppress(OSError):
            if self._is_log():
                self.log_path.unlink()

    def _is_log(self) -> bool:
        with self.log_path.open("rb") as file:
            return file.read(len(LOG_TITLE)) == LOG_TITLE.encode()

    def _compile_one(self, source: str) -> str:
        target = f"{OBJECTS}/{source.removesuffix('.c')}.o"
        (self.project.folder / target).parent.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{folder}" for folder in self.project.include_folders]
        # Debug information names files by folder; mapped to ".", equal sources give equal bytes anywhere.
        prefix = f"-ffile-prefix-map={self.project.folder.absolute()}=."
        optimized = self.compiler.compile_flags if source.startswith(FAST_SOURCES) else self.compiler.small_flags
        command = [
            *self._driver(), *self.cpu_flags, *optimized, prefix, *includes,
            "-c", source, "-o", target,
        ]  # fmt: skip
        self._run(command, what="the source does not compile", where=source)
        return target

    def _driver(self) -> list[str]:
        return [*self.compiler.command, *(["cc"] if self.compiler.family == "zig" else [])]

    def _run(self, command: list[str], *, what: str, where: str) -> None:
        try:
            done = subprocess.run(
                command, cwd=self.project.folder, capture_output=True, text=True, errors="replace",
                env=os.environ | self.compiler.environment, timeout=COMPILE_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"the compiler gave no result in {COMPILE_TIMEOUT_S:.0f} s", where) from error
        except OSError as error:
            raise self._failure(f"the compiler does not start: {error.strerror}", where) from error
        if done.returncode in _ENDED_FROM_OUTSIDE:  # what ends this process reaches the compiler too
            raise KeyboardInterrupt
        # One append: two compilations may finish at the same time.
        self.log.append("\n".join(filter(None, [shlex.join(command), done.stdout.strip(), done.stderr.strip()])))
        if done.returncode != 0:
            lines = [
                line for line in (done.stderr + done.stdout).splitlines() if "error" in line or "undefined" in line
            ]
            if NO_SPACE in done.stderr:
                raise StqError(
                    "the disk is full: the compiler cannot write",
                    where=str(self.project.folder.parent),
                    next="free some space there and where temporary files go ($TMPDIR, /tmp), or choose another disk",
                )
            raise self._failure("\n    ".join([f"{what}:", *lines[:SHOWN_ERRORS]]), where)

    def _failure(self, what: str, where: str) -> StqError:
        return StqError(
            what,
            where=where,
            cause=f"a bug in the generated or shipped C, or in {self.compiler.version}",
            next=f"read the log, {self.write_log()}; try another compiler (`stq-deploy doctor` lists them)",
        )
