"""The generated C on this computer under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import subprocess
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
from stq_deploy.program import Program, with_scratch_apart
from stq_deploy.toolchain.host_library import build_host_library

CHUNK = 16
"""Samples per process."""
SECONDS_PER_SAMPLE = 60
"""Seconds, far more than a sanitized inference takes; only a hang lasts longer."""


class SanitizedExecutor(Executor):
    """Runs the generated C as a sanitized program, a process per chunk of samples.

    Args:
        program: what to run.
        kernels: "reference" or "cortex_m7".
        name: for tables.
        cache_dir: see `build_host_library`.

    Raises:
        StqError: the program cannot be built, or the compiler has no AddressSanitizer.
    """

    def __init__(
        self,
        program: Program,
        *,
        kernels: str = "reference",
        name: str = "host-sanitized",
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.program = program
        self.name = name
        # Scratch memory of its own, so that a kernel that leaves it is found.
        self._executable = build_host_library(
            with_scratch_apart(program), kernels=kernels, sanitize=True, cache_dir=cache_dir
        )

    def run(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Outputs:
        return outputs_of(self.program, self._results(levels, progress, counters)["outputs"])

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        crcs: Crcs = self._results(levels, progress, counters)["crcs"]
        return crcs

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> npt.NDArray[Any]:
        tensor = checked_layer(self.program, layer).output
        sample = checked_levels(self.program, levels[None])
        content = self._filter(sample, np.array([counter], np.uint64), tensor.bytes, str(layer))
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape)

    def close(self) -> None:
        """Does nothing: no process outlives its call."""

    def _results(self, levels: Levels, progress: SamplesDone | None, counters: Counters | None) -> npt.NDArray[Any]:
        """Structured array (N,) with fields `outputs` (an `output_record`) and `crcs`, as it is written."""
        program = self.program
        samples = checked_levels(program, levels)
        numbers = numbered(counters, len(samples))
        record = np.dtype([("outputs", output_record(program)), ("crcs", np.uint32, (len(program.layers),))])
        outputs = [str(number) for place in program.outputs for number in (place.layer, place.type.bytes)]
        results = np.empty(len(samples), record)
        for start in range(0, len(samples), CHUNK):
            part = samples[start : start + CHUNK]
            content = self._filter(part, numbers[start : start + CHUNK], len(part) * record.itemsize, *outputs)
            results[start : start + len(part)] = np.frombuffer(content, record)
            if progress:
                progress(start + len(part))
        return results

    def _filter(self, samples: npt.NDArray[Any], counters: Counters, expected_bytes: int, *arguments: str) -> bytes:
        environment = os.environ | {
            "ASAN_OPTIONS": "detect_leaks=0",  # there is no heap, and the leak check fails under a debugger
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        try:
            done = subprocess.run(
                [self._executable, *arguments],
                input=self._input(samples, counters),
                capture_output=True,
                timeout=SECONDS_PER_SAMPLE * len(samples),
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StqError(f"the sanitized program could not be run: {error}", where=str(self._executable)) from error
        if done.returncode != 0 or len(done.stdout) != expected_bytes:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            raise StqError(
                f"the sanitized program failed (exit code {done.returncode}):\n"
                + "\n".join(f"    {line}" for line in lines[:12]),
                where=str(self._executable),
                cause="a kernel reads or writes outside its arrays, or computes something C leaves undefined",
                next="report it with the model file",
            )
        return done.stdout

    def _input(self, samples: npt.NDArray[Any], counters: Counters) -> bytes:
        """The bytes that the program reads: each sample, and its counter if the network has noise."""
        if not self.program.network.has_noise:
            return samples.tobytes()
        pairs = zip(samples, counters, strict=True)
        return b"".join(sample.tobytes() + counter.tobytes() for sample, counter in pairs)
