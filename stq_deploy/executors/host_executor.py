"""The generated C on this computer, in this process."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import SamplesDone
from stq_deploy.executors.executor import (
    Crcs,
    Executor,
    Levels,
    Outputs,
    checked_layer,
    checked_levels,
    output_record,
    outputs_of,
)
from stq_deploy.network.ops import Counters
from stq_deploy.network.reference import numbered
from stq_deploy.program import Program
from stq_deploy.toolchain.host_library import build_host_library

CHUNK = 32
"""Samples per call into the library: few enough for smooth progress, enough to make a call's cost small."""
_DONE = -1  # STQ_HOST_DONE of host_library.h; any other result is the index of the layer that failed


class _Output(ctypes.Structure):
    """`stq_host_output` of host_library.h."""

    _fields_ = (("layer", ctypes.c_int32), ("bytes", ctypes.c_uint32))


class HostExecutor(Executor):
    """Runs the generated C as a shared library.

    A network's arena is static, so one library runs one inference at a time. Several copies are therefore loaded.
    ctypes releases the interpreter's lock while C runs.

    Args:
        program: what to run.
        kernels: "cortex_m7", the sources that a board runs, which are also faster here; or "reference".
        name: for tables.
        workers: inferences at a time; by default one per processor.
        cache_dir: see `build_host_library`.

    Attributes:
        library: path of the shared library.

    Raises:
        StqError: the program cannot be built.
    """

    def __init__(
        self,
        program: Program,
        *,
        kernels: str = "cortex_m7",
        name: str = "host",
        workers: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.program = program
        self.name = name
        self.library = build_host_library(program, kernels=kernels, cache_dir=cache_dir)
        self._workers = workers or os.cpu_count() or 1
        self._free: SimpleQueue[ctypes.CDLL] = SimpleQueue()
        for library in _load_copies(self.library, self._workers):
            self._free.put(library)

    def run(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Outputs:
        return self._run(levels, progress, counters)

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        crcs = np.empty((len(levels), len(self.program.layers)), np.uint32)
        self._run(levels, progress, counters, crcs)
        return crcs

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> npt.NDArray[Any]:
        tensor = checked_layer(self.program, layer).output
        sample = checked_levels(self.program, levels[None])
        output = np.empty(tensor.shape, tensor.dtype)
        number = np.array([counter], np.uint64)
        self._call(
            lambda library: library.stq_host_layer_output(_address(sample), _address(number), layer, _address(output))
        )
        return output

    def close(self) -> None:
        """Does nothing: the executor holds only memory."""

    def _run(
        self,
        levels: Levels,
        progress: SamplesDone | None,
        counters: Counters | None,
        crcs: Crcs | None = None,
    ) -> Outputs:
        samples, places = checked_levels(self.program, levels), self.program.outputs
        numbers = numbered(counters, len(samples))
        records = np.empty(len(samples), output_record(self.program))
        outputs = (_Output * len(places))(*(_Output(place.layer, place.type.bytes) for place in places))

        def run_chunk(start: int) -> int:
            count = min(CHUNK, len(samples) - start)
            part = None if crcs is None else _address(crcs[start:])
            self._call(
                lambda library: library.stq_host_run(
                    count,
                    _address(samples[start:]),
                    _address(numbers[start:]),
                    len(outputs),
                    outputs,
                    _address(records[start:]),
                    part,
                )
            )
            return count

        done = 0
        with ThreadPoolExecutor(self._workers) as pool:
            for chunk in as_completed([pool.submit(run_chunk, start) for start in range(0, len(samples), CHUNK)]):
                done += chunk.result()
                if progress:
                    progress(done)
        return outputs_of(self.program, records)

    def _call(self, function: Callable[[ctypes.CDLL], int]) -> None:
        library = self._free.get()
        try:
            refused = function(library)
        finally:
            self._free.put(library)
        if refused != _DONE:
            raise StqError(
                "the kernel refused its arguments",
                where=f"host library, layer {self.program.layers[refused].name!r}",
                cause="the code generator and the kernels disagree",
                next="report it with the model file",
            )


def _address(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _load_copies(path: Path, count: int) -> list[ctypes.CDLL]:
    """Load a shared library `count` times; each copy has its own static memory because it is another file."""
    libraries = []
    try:
        with tempfile.TemporaryDirectory(prefix="stq-host-") as folder:  # a loaded library outlives its file
            for i in range(count):
                library = ctypes.CDLL(str(shutil.copy(path, Path(folder) / f"network-{i}.so")))
                library.stq_host_run.argtypes = [
                    ctypes.c_int32, *2 * [ctypes.c_void_p], ctypes.c_int32, *3 * [ctypes.c_void_p],
                ]  # fmt: skip
                library.stq_host_layer_output.argtypes = [
                    *2 * [ctypes.c_void_p], ctypes.c_int32, ctypes.c_void_p,
                ]  # fmt: skip
                libraries.append(library)
    except OSError as error:
        raise StqError(
            f"the host library cannot be loaded: {error}",
            where=str(path),
            cause="the temporary folder is full or forbids execution, or the compiler is for another machine",
            next="set TMPDIR to another folder, or delete the cached library to have it built again",
        ) from error
    return libraries
