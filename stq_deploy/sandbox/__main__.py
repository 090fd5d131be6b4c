"""The process that reads model files, one at a time, each in a child that can do nothing else.

Messages in both directions are a length (`FRAME`) and as many bytes. The input is two of them: the name of the module
that reads the format, and a file's content. The answer is a length, as many bytes of JSON (`Extract.header`, `error` or
`absent`), and the bytes of the arrays.
"""

from __future__ import annotations

import codecs
import importlib
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import cast

from stq_deploy.sandbox.extract import Extractor
from stq_deploy.sandbox.limits import Unusable
from stq_deploy.sandbox.process import FRAME, MAXIMUM_ANSWER_BYTES

MAXIMUM_MEMORY_BYTES = 1 << 30
CPU_SECONDS = 1.5
BYTES_PER_CPU_SECOND = 32 << 20  # more time for large files: a fourth of the rate at which one core unpacks or copies
_WALL_SECONDS = 60
_ENCODINGS = ("ascii", "cp437", "latin-1")  # h5py and zipfile import these on first use, but a child can open no file
_TOO_LONG = (signal.SIGPROF, signal.SIGALRM)


def main() -> None:
    """Answer until standard input is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that asks, and thereby this one
    import_encodings()
    while header := sys.stdin.buffer.read(FRAME.size):
        module = sys.stdin.buffer.read(*FRAME.unpack(header)).decode()
        content = sys.stdin.buffer.read(*FRAME.unpack(sys.stdin.buffer.read(FRAME.size)))
        try:  # before the child begins, which can open no file, and so import nothing
            extractor = cast(Extractor, importlib.import_module(module))
            answer = _answer(extractor, content)
        except ModuleNotFoundError as error:
            answer = _message({"absent": error.name})
        sys.stdout.buffer.write(FRAME.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


def import_encodings() -> None:
    """Import what the libraries import on first use, while files may still be opened."""
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)


def _answer(extractor: Extractor, content: bytes) -> bytes:
    """The child's answer to the content; or how the child ended, if it did not survive."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(receive)
            restrict()
            limit_time(len(content))
            answer = answer_to(extractor, content)
            with os.fdopen(send, "wb") as pipe:
                pipe.write(answer)
            status = 0
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read(MAXIMUM_ANSWER_BYTES + 1)
    if len(answer) > MAXIMUM_ANSWER_BYTES:  # our own child never writes so much: the file has taken it over
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        what = (
            "reading it takes too long" if number in _TOO_LONG else f"the library that reads it fails on it ({number})"
        )
        return _message({"error": what})
    return answer if status == 0 else _message({"error": "it asks for more memory than any model file needs"})


def restrict() -> None:
    """Drop every ability of this process that reading files does not need."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # the other files' contents, the answers, and C's messages about a damaged heap
        os.dup2(nothing, standard)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),  # no further file or socket: no external link, no filter plugin
        (resource.RLIMIT_FSIZE, 0),  # no writing to any file
        (resource.RLIMIT_AS, MAXIMUM_MEMORY_BYTES),
    ):
        with suppress(ValueError, OSError):  # macOS has no limit on memory
            resource.setrlimit(limit, (value, value))


def limit_time(size: int) -> None:
    """Have a signal end this process after the time that reading a file of `size` bytes may take from now on."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + size / BYTES_PER_CPU_SECOND)
    signal.alarm(_WALL_SECONDS)


def answer_to(extractor: Extractor, content: bytes) -> bytes:
    """The message that answers a file's content: what it holds, or why it is unusable."""
    try:
        found = extractor.extract(content)
    except Unusable as error:
        return _message({"error": str(error)})
    return _message(found.header) + b"".join(found.data)


def _message(header: dict[str, object]) -> bytes:
    text = json.dumps(header).encode()
    return FRAME.pack(len(text)) + text


if __name__ == "__main__":
    main()
