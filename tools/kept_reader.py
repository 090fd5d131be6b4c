"""A reader of model files that lives for many of them, so that a fuzzer is not slowed by a process for each file.

`stq_deploy.sandbox` reads each file in a fork of its own, which takes longer than most damaged files do. Here one
process reads file after file, under the same limits of time, memory and files, by the same extractors. It also watches
what Python executes while they run. If it dies on a file, the true reader gets that file again, and its word counts.
"""

from __future__ import annotations

import importlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.sandbox.__main__ import answer_to, import_encodings, limit_time, restrict
from stq_deploy.sandbox.extract import Extractor
from stq_deploy.sandbox.process import FRAME

WATCHED = ("exec", "compile", "marshal.loads", "pickle.find_class", "import", "os.system", "os.exec", "os.posix_spawn",
           "os.fork", "subprocess.Popen", "socket.connect", "ctypes.dlopen", "code.__new__")  # fmt: skip
"""Audit events of Python by which a file could execute something."""
KEPT_READER = __file__
_WATCH = "watch"


class Reader(Protocol):
    """What `stq_deploy.sandbox.process` asks for a file's content."""

    def ask(self, content: bytes, extractor: str) -> bytes:
        """The answer to a file's content."""


class KeptReader:
    """Answers as the true reader does.

    Attributes:
        executed: what was executed while files were read since this was last emptied.
        asked_again: files that ended the process, and that the true reader answered.
    """

    def __init__(self, true_reader: Reader, warm_up: list[tuple[bytes, str]]) -> None:
        """Begin to read.

        Args:
            warm_up: (content, extractor) of sound files. They are read before anything is watched. Only their
                extractors can be used.
        """
        self.executed: list[str] = []
        self.asked_again = 0
        self._true_reader = true_reader
        self._warm_up = warm_up
        self._process = self._started()

    @property
    def pid(self) -> int:
        """The number of the process that reads."""
        return self._process.pid

    def ask(self, content: bytes, extractor: str) -> bytes:
        """The answer to a file's content, as `stq_deploy.sandbox` gives it."""
        try:
            seen, answer = self._exchange(self._process, extractor, content)
        except (BrokenPipeError, struct.error):
            self.stop()
            self.asked_again += 1
            self._process = self._started()
            return self._true_reader.ask(content, extractor)
        except BaseException:  # a signal between question and answer
            self.stop()
            self._process = self._started()
            raise
        if seen:
            self.executed.append(seen.decode())
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HDF5_")}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # its threads would take addresses, which are limited
        modules = sorted({extractor for _, extractor in self._warm_up})
        process = subprocess.Popen(
            [sys.executable, "-B", KEPT_READER, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for content, extractor in self._warm_up:
            self._exchange(process, extractor, content)
        self._exchange(process, _WATCH, b"")
        return process

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], extractor: str, content: bytes) -> tuple[bytes, bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        for part in (extractor.encode(), content):
            process.stdin.write(FRAME.pack(len(part)) + part)
        process.stdin.flush()
        return _read_frame(process.stdout), _read_frame(process.stdout)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _read_frame(pipe: IO[bytes]) -> bytes:
    """A length and as many bytes.

    Raises:
        struct.error: the pipe ended before.
    """
    (size,) = FRAME.unpack(pipe.read(FRAME.size))
    content = pipe.read(size)
    if len(content) < size:
        raise struct.error("the answer is cut")
    return content


def main(modules: list[str]) -> None:
    """Answer files by these extractors until standard input is closed, or until a file ends this process."""
    # The ends of both pipes are kept as other descriptors: `restrict` closes the standard ones.
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    extractors = {module: cast(Extractor, importlib.import_module(module)) for module in modules}
    import_encodings()
    seen: list[str] = []
    restrict()
    watching = False
    while header := questions.read(FRAME.size):
        module = questions.read(*FRAME.unpack(header)).decode()
        content = _read_frame(questions)
        if module == _WATCH:
            watching = _watch(seen)
            answer = b""
        else:
            limit_time(len(content))
            signal.alarm(0)  # a fuzzer that yields to all others may wait long; processor time stays limited
            answer = answer_to(extractors[module], content)
            signal.setitimer(signal.ITIMER_PROF, 0)
        happened = "\n".join(seen).encode() if watching else b""
        seen.clear()
        for part in (happened, answer):
            answers.write(FRAME.pack(len(part)) + part)
        answers.flush()


def _watch(seen: list[str]) -> bool:
    audit: Callable[[str, tuple[Any, ...]], None] = lambda event, arguments: (  # noqa: E731
        seen.append(f"{event} {arguments!r:.200}") if event in WATCHED else None
    )
    sys.addaudithook(audit)
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
