"""Results as they arrive, one JSON line each, so that an interrupted run goes on where it stopped.

The first line ties the file to what was run: network, build, board and samples. Every further line is one
sample: its index, its logits, the CRCs of further outputs, and the cycles per layer where they were asked for. The
last member of every line is `crc`, the CRC-32 (zlib's) of the bytes before it. Files of version 1 have no check sums;
they are read and continued.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.untrusted_json import parse_json

if sys.platform != "win32":
    import fcntl

FORMAT = "stq-results"
VERSION = 2
_READABLE = (1, VERSION)
_BEGIN = f'{{"format":"{FORMAT}"'.encode()
_BEFORE_CHECK_SUM = b',"crc":"'


@dataclass(frozen=True)
class RunIdentity:
    """The identity of results. Results of another identity are never continued.

    Attributes:
        board: board name.
        model_hash: `Network.sha256()`.
        build_id: hex; of the firmware that computed them.
        samples_sha256: `SampleSet.sha256()`.
        classes: number of logits.
        outputs: number of the network's outputs whose results are kept.
    """

    board: str
    model_hash: str
    build_id: str
    samples_sha256: str
    classes: int
    outputs: int = 1


@dataclass(frozen=True)
class Result:
    """One sample's result.

    Attributes:
        logits: output levels.
        cycles: per layer; None when not measured.
        asked: digest (hex) of the input if it is an attack's query, not a sample of a file; else None.
        others: CRC-32 of the bytes of each output after the first.
    """

    logits: tuple[int, ...]
    cycles: tuple[int, ...] | None = None
    asked: str | None = None
    others: tuple[int, ...] = ()


class ResultsFile:
    """Append-only results of one sample file, open for one writer.

    Args:
        path: created if absent; else continued, if it belongs to the same run.
        identity: of this run.
        count: number of samples; indices are 0 .. count - 1.

    Attributes:
        unchecked: results that were read from lines without a check sum.

    Raises:
        StqError: it belongs to another run, is damaged, cannot be written, or another process is writing it.
    """

    def __init__(self, path: str | os.PathLike[str], identity: RunIdentity, count: int) -> None:
        self.path = Path(path)
        self.identity = identity
        self.count = count
        self.results: dict[int, Result] = {}
        self.unchecked = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: closing the file must not write again what a full disk refused.
            self._file: BinaryIO = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise StqError(
                f"cannot write the results: {error.strerror}",
                where=str(self.path),
                next="choose another folder with --out",
            ) from error
        try:
            self._lock()
            self._read()
        except OSError as error:
            self._release()
            raise StqError(f"cannot read the results: {error.strerror}", where=str(self.path)) from error
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._release()  # the message is what ended the run; a later error of the disk does not replace it

    def close(self) -> None:
        """Make sure that everything is on the disk, and release the file. A second call does nothing.

        Raises:
            StqError: the disk did not take it.
        """
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._release()

    def _release(self) -> None:
        with suppress(OSError):
            self._file.close()

    def missing(self, limit: int) -> list[int]:
        """Indices of the first `limit` samples without a result yet, ascending."""
        return [i for i in range(min(limit, self.count)) if i not in self.results]

    def append(self, index: int, result: Result) -> None:
        """Record one sample's result; it is in the file when this returns.

        Raises:
            ValueError: the index is out of range, already has a result, or the number of logits is wrong.
            StqError: the disk does not take it.
        """
        if index in self.results:
            raise ValueError(f"sample {index} already has a result")
        self._check(index, result)
        line: dict[str, Any] = {"index": index, "logits": list(result.logits)}
        if result.cycles is not None:
            line["cycles"] = list(result.cycles)
        if result.asked is not None:
            line["asked"] = result.asked
        if result.others:
            line["others"] = list(result.others)
        self._write(line)
        self.results[index] = result

    def logits(self, limit: int) -> npt.NDArray[np.int64]:
        """(limit, classes) of the first `limit` samples, in their order.

        Raises:
            KeyError: one of them has no result yet.
        """
        return np.array([self.results[i].logits for i in range(limit)], np.int64)

    def others(self, limit: int) -> npt.NDArray[np.uint32]:
        """(limit, outputs - 1): CRCs of the outputs after the first, of the first `limit` samples in their order.

        Raises:
            KeyError: one of them has no result yet.
        """
        found = np.array([self.results[i].others for i in range(limit)], np.uint32)
        return found.reshape(limit, self.identity.outputs - 1)

    @property
    def _header(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **asdict(self.identity)}

    def _write(self, line: Mapping[str, Any]) -> None:
        """Append the line, whole or not at all."""
        whole = self._file.seek(0, os.SEEK_END)
        left = memoryview(_line(line))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):  # if this fails too, the next run finds half a line, and drops it
                self._file.truncate(whole)
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StqError:
        return StqError(
            f"cannot write a result: {error.strerror}",
            where=str(self.path),
            cause="the disk is full, or no longer there",
            next="make room and repeat the command; the run goes on after the results that are in the file",
        )

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StqError(
                "another run is writing this file",
                where=str(self.path),
                next="wait for it, or choose another folder with --out",
            ) from error

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        # A crash or a full disk may cut the last line: an incomplete one never counted.
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        if lines:
            header = self._parse(lines[0], 1)
            self._check_header(header)
            must_be_checked = header["version"] == VERSION
            if must_be_checked and _BEFORE_CHECK_SUM not in lines[0]:
                raise self._damaged(1, "it has no check sum")
            for number, line in enumerate(lines[1:], start=2):
                self._take(self._parse(line, number, must_be_checked=must_be_checked), number)
        elif not any(_line(self._header | {"version": version}).startswith(content) for version in _READABLE):
            raise self._damaged(1, "not the beginning of a results file")
        self._file.truncate(len(whole))  # only now, so that a file that is not ours stays unchanged
        if not lines:
            self._write(self._header)

    def _parse(self, line: bytes, number: int, *, must_be_checked: bool = False) -> dict[str, Any]:
        """A line's members, without the check sum, which is compared where there is one."""
        content, separator, check_sum = line.rpartition(_BEFORE_CHECK_SUM)
        if separator:
            if check_sum != _check_sum(content):
                raise self._damaged(number, "its check sum is wrong")
            line = content + b"}"
        elif must_be_checked:
            raise self._damaged(number, "it has no check sum")
        elif number > 1:
            self.unchecked += 1
        try:
            value = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, str(error)) from error
        if not isinstance(value, dict):
            raise self._damaged(number, "not an object")
        return value

    def _check_header(self, header: dict[str, Any]) -> None:
        if header.get("format") != FORMAT or header.get("version") not in _READABLE:
            raise self._damaged(1, "not the header of a results file of this version")
        for f in fields(self.identity):
            absent = None if f.default is MISSING else f.default
            ours, theirs = getattr(self.identity, f.name), header.get(f.name, absent)
            if ours != theirs:
                raise StqError(
                    f"these results are of another run: their {f.name} is {theirs!r}, this run's {ours!r}",
                    where=str(self.path),
                    cause="the model, the firmware or the samples changed since",
                    next="choose another folder with --out, or remove that file",
                )

    def _take(self, line: dict[str, Any], number: int) -> None:
        index, cycles, asked = line.get("index"), line.get("cycles"), line.get("asked")
        try:
            if type(index) is not int:
                raise ValueError("no index")
            if index in self.results:
                raise ValueError(f"sample {index} occurs twice")
            if asked is not None and not isinstance(asked, str):
                raise ValueError("what was asked is not a text")
            others = _integers(line.get("others", []))
            result = Result(_integers(line.get("logits")), None if cycles is None else _integers(cycles), asked, others)
            self._check(index, result)
        except ValueError as error:
            raise self._damaged(number, str(error)) from error
        self.results[index] = result

    def _check(self, index: int, result: Result) -> None:
        if not 0 <= index < self.count:
            raise ValueError(f"there is no sample {index}")
        if len(result.logits) != self.identity.classes:
            raise ValueError(f"{len(result.logits)} logits instead of {self.identity.classes}")
        if len(result.others) != self.identity.outputs - 1:
            raise ValueError(f"{len(result.others)} further outputs instead of {self.identity.outputs - 1}")
        if any(not 0 <= crc < 2**32 for crc in result.others):
            raise ValueError("a CRC is not a number of 32 bits")

    def _damaged(self, number: int, detail: str) -> StqError:
        return StqError(
            f"line {number} is damaged ({detail})",
            where=str(self.path),
            cause="the file was edited, or its disk changed it; neither board nor model had a part in it",
            next="remove that line, and its sample runs again; or remove the file, and the run starts again",
        )


def drop_results(path: Path) -> None:
    """Remove the results of an earlier run, so that a new one starts at the first sample.

    Raises:
        StqError: the file does not hold results, or cannot be removed.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(_BEGIN))
        if begin != _BEGIN[: len(begin)]:
            raise StqError("this is not a results file", where=str(path), next="move it away, or choose another --out")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StqError(f"cannot remove the former results: {error.strerror}", where=str(path)) from error


def _line(value: Mapping[str, Any]) -> bytes:
    content = json.dumps(value, separators=(",", ":")).encode()[:-1]
    return content + _BEFORE_CHECK_SUM + _check_sum(content) + b"\n"


def _check_sum(content: bytes) -> bytes:
    """The end of a line, after `_BEFORE_CHECK_SUM`; `content` is the text before that."""
    return b'%08x"}' % zlib.crc32(content)


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(v) is int and -(2**63) <= v < 2**63 for v in values):
        raise ValueError("not a list of whole numbers")
    return tuple(values)
