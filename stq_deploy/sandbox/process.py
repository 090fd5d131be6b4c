"""Has untrusted files read by `python -m stq_deploy.sandbox`, and gets plain values from it.

A separate process is needed because the HDF5 library is C code that trusts its files. We changed a few bytes in each of
17,000 model files. The library read 45 of them forever (1.14.6, the heap of variable-length texts). No Python code,
signal handler or thread can stop it there. So each file gets a child of another process, with limits of time and
memory. The child can open or write no file, whatever the library attempts, and a crash there is an error here. Its
answer stays untrusted: it is JSON and arrays of numbers, never pickle.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import stq_deploy
from stq_deploy.common.errors import StqError
from stq_deploy.sandbox.extract import ARRAY_TYPES
from stq_deploy.sandbox.limits import MAXIMUM_ARRAY_BYTES, MAXIMUM_CONFIG_BYTES, Unusable

Array = npt.NDArray[Any]

FRAME = struct.Struct("<Q")
MAXIMUM_ANSWER_BYTES = MAXIMUM_ARRAY_BYTES + 8 * MAXIMUM_CONFIG_BYTES  # JSON escapes a character with six


@dataclass(frozen=True, eq=False)
class Contents:
    """A model file as plain values, all of them untrusted.

    Attributes:
        config: the text of its configuration.
        facts: word -> text, such as the version of its writer.
        listed: name -> names, in an order that the file states.
        arrays: path -> array, read-only, of a type in ARRAY_TYPES; or why it cannot be used.
    """

    config: str
    facts: dict[str, str]
    listed: dict[str, list[str]]
    arrays: dict[str, Array | str]


def read_contents(content: bytes, extractor: str) -> Contents:
    """Read a model file's bytes.

    Args:
        extractor: name of the module that reads the format there (`extract.Extractor`); never a text from a file.

    Raises:
        Unusable: the file is damaged, or hostile.
        StqError: the reading process does not run, or a package that it needs is not installed.
    """
    return _parsed(_READER.ask(content, extractor))


def _parsed(answer: bytes) -> Contents:
    try:
        (size,) = FRAME.unpack_from(answer)
        header: Any = json.loads(answer[FRAME.size : FRAME.size + size])
        if "error" in header:
            raise Unusable(str(header["error"]))
        if "absent" in header:
            raise _absent(str(header["absent"]))
        data = memoryview(answer)[FRAME.size + size :]
        arrays = {str(path): _array(entry, data) for path, entry in header["arrays"].items()}
        listed = {str(layer): [str(name) for name in names] for layer, names in header["listed"].items()}
        facts = {str(word): str(text) for word, text in header["facts"].items()}
        return Contents(str(header["config"]), facts, listed, arrays)
    except (struct.error, ValueError, OverflowError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Unusable("the process that read it was led astray") from error


def _absent(package: str) -> StqError:
    return StqError(
        f"files of this format are read by the package {package!r}, which is not installed",
        next=f"install it: pip install {package}",
    )


def _array(entry: dict[str, Any], data: memoryview) -> Array | str:
    if "problem" in entry:
        return str(entry["problem"])
    shape = entry["shape"]
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape {shape}")
    if entry["type"] not in ARRAY_TYPES:
        raise ValueError(f"type {entry['type']}")
    return np.frombuffer(data, np.dtype(entry["type"]), math.prod(shape), entry["at"]).reshape(shape)


class _SandboxReader:
    """The reading process; it starts on first use and ends with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, content: bytes, extractor: str) -> bytes:
        """The answer to a file's content.

        Raises:
            StqError: the process does not start, or has ended.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                for part in (extractor.encode(), content):
                    process.stdin.write(FRAME.pack(len(part)))
                    process.stdin.write(part)
                process.stdin.flush()
                (size,) = FRAME.unpack(process.stdout.read(FRAME.size))
                answer = process.stdout.read(min(size, MAXIMUM_ANSWER_BYTES))
            except (OSError, struct.error) as error:
                self.stop()
                raise StqError(
                    "the process that reads model files has ended",
                    cause="a package cannot be imported there, or the process was killed",
                    next=f"see what `{sys.executable} -m stq_deploy.sandbox </dev/null` prints",
                ) from error
            except BaseException:  # Ctrl-C between question and answer
                self.stop()
                raise
            return answer

    def _running(self) -> subprocess.Popen[bytes]:
        # A fork of this process must not write to its parent's pipe.
        if self._process is None or self._owner != os.getpid():
            package = str(Path(stq_deploy.__file__).resolve().parent.parent)
            environment = {key: value for key, value in os.environ.items() if not key.startswith("HDF5_")}
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
            environment["OPENBLAS_NUM_THREADS"] = "1"  # its threads would take memory and not survive the fork
            command = [sys.executable, "-P", "-B", "-m", "stq_deploy.sandbox"]
            # In a process group of its own, Ctrl-C at a terminal does not reach it while it starts.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
            )
            self._owner = os.getpid()
        return self._process

    def stop(self) -> None:
        """End the process. Does nothing if there is none."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.kill()
        process.wait()


_READER = _SandboxReader()


@atexit.register
def _end() -> None:
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would end in a traceback here
    _READER.stop()
