"""Results as they arrive, one JSON line each, so that an interrupted run goes on where it stopped.

The first line ties the file to what was run: network, build, board and samples. Every further line is one
sample: its index, its logits, and the cycles per layer where they were asked for.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError

if sys.platform != "win32":
    import fcntl

FORMAT = "stq-results"
VERSION = 1
_BEGIN = f'{{"format":"{FORMAT}"'.encode()


@dataclass(frozen=True)
class RunIdentity:
    """What results belong to. Results of another identity are never continued.

    Attributes:
        board: board name.
        model_hash: `Network.sha256()`.
        build_id: hex; of the firmware that computed them.
        samples_sha256: `SampleSet.sha256()`.
        classes: number of logits.
    """

    board: str
    model_hash: str
    build_id: str
    samples_sha256: str
    classes: int


@dataclass(frozen=True)
class Result:
    """One sample's result. `cycles` per layer, None when not measured."""

    logits: tuple[int, ...]
    cycles: tuple[int, ...] | None = None


class ResultsFile:
    """Append-only results of one sample file, open for one writer.

    Args:
        path: created if absent; else continued, if it belongs to the same run.
        identity: of this run.
        count: number of samples; indices are 0 .. count - 1.

    Raises:
        StqError: it belongs to another run, is damaged, cannot be written, or another process is writing it.
    """

    def __init__(self, path: str | os.PathLike[str], identity: RunIdentity, count: int) -> None:
        self.path = Path(path)
        self.identity = identity
        self.count = count
        self.results: dict[int, Result] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("a+b")
        except OSError as error:
            raise StqError(
                f"cannot write the results: {error.strerror}",
                where=str(self.path),
                next="choose another folder with --out",
            ) from error
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flush to the disk and release the file."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def missing(self, limit: int) -> list[int]:
        """Those of the first `limit` samples without a result yet, ascending."""
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
        self._write(line)
        self.results[index] = result

    def logits(self, limit: int) -> npt.NDArray[np.int64]:
        """(limit, classes) of the first `limit` samples, in their order.

        Raises:
            KeyError: one of them has no result yet.
        """
        return np.array([self.results[i].logits for i in range(limit)], np.int64)

    @property
    def _header(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **asdict(self.identity)}

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(_line(line))
            self._file.flush()
        except OSError as error:
            raise StqError(f"cannot write a result: {error.strerror}", where=str(self.path)) from error

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
        lines = whole.splitlines()
        if lines:
            self._check_header(self._parse(lines[0], 1))
        elif not _line(self._header).startswith(content):
            raise self._damaged(1, "not the beginning of a results file")
        for number, line in enumerate(lines[1:], start=2):
            self._take(self._parse(line, number), number)
        self._file.truncate(len(whole))  # only now: a file that is not ours stays as it is
        if not lines:
            self._write(self._header)

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, str(error)) from error
        if not isinstance(value, dict):
            raise self._damaged(number, "not an object")
        return value

    def _check_header(self, header: dict[str, Any]) -> None:
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise self._damaged(1, "not the header of a results file of this version")
        for f in fields(self.identity):
            ours, theirs = getattr(self.identity, f.name), header.get(f.name)
            if ours != theirs:
                raise StqError(
                    f"these results are of another run: their {f.name} is {theirs!r}, this run's {ours!r}",
                    where=str(self.path),
                    cause="the model, the firmware or the samples changed since",
                    next="choose another folder with --out, or remove that file",
                )

    def _take(self, line: dict[str, Any], number: int) -> None:
        index, cycles = line.get("index"), line.get("cycles")
        try:
            if type(index) is not int:
                raise ValueError("no index")
            if index in self.results:
                raise ValueError(f"sample {index} occurs twice")
            result = Result(_integers(line.get("logits")), None if cycles is None else _integers(cycles))
            self._check(index, result)
        except ValueError as error:
            raise self._damaged(number, str(error)) from error
        self.results[index] = result

    def _check(self, index: int, result: Result) -> None:
        if not 0 <= index < self.count:
            raise ValueError(f"there is no sample {index}")
        if len(result.logits) != self.identity.classes:
            raise ValueError(f"{len(result.logits)} logits instead of {self.identity.classes}")

    def _damaged(self, number: int, detail: str) -> StqError:
        return StqError(
            f"line {number} is damaged ({detail})",
            where=str(self.path),
            cause="the file was edited, or its disk lost data",
            next="remove the file; the run then starts anew",
        )


def drop_results(path: Path) -> None:
    """Remove the results of an earlier run, so that a new one starts at the first sample.

    Raises:
        StqError: the file is none of results, or cannot be removed.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(_BEGIN))
        if begin != _BEGIN[: len(begin)]:
            raise StqError("this is no results file", where=str(path), next="move it away, or choose another --out")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StqError(f"cannot remove the former results: {error.strerror}", where=str(path)) from error


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(v) is int and -(2**63) <= v < 2**63 for v in values):
        raise ValueError("not a list of whole numbers")
    return tuple(values)
