"""The generated C on this computer under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.executors.base import Digests, Executor, Levels, Progress, checked_layer, checked_levels
from stq_deploy.network import Network
from stq_deploy.program import emitted_ops, plan_network
from stq_deploy.toolchain.host_library import build_host_library

CHUNK = 16
"""Samples per process."""
SECONDS_PER_SAMPLE = 60
"""Far more than a sanitized inference takes; only a hang is longer."""


class SanitizedExecutor(Executor):
    """Runs the generated C as a sanitized program, a process per chunk of samples.

    Args:
        network: what to run.
        kernels: "reference" or "cortex_m7".
        cache_dir: see `build_host_library`.

    Raises:
        StqError: the network cannot be built, or the compiler has no AddressSanitizer.
    """

    name = "host-sanitized"

    def __init__(
        self, network: Network, *, kernels: str = "reference", cache_dir: str | os.PathLike[str] | None = None
    ) -> None:
        self.network = network
        self._layers = emitted_ops(network)
        self._program = build_host_library(plan_network(network), kernels=kernels, sanitize=True, cache_dir=cache_dir)

    def run(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[Any]:
        results: npt.NDArray[Any] = self._results(levels, progress)["logits"]
        return results

    def layer_digests(self, levels: Levels, progress: Progress | None = None) -> Digests:
        digests: Digests = self._results(levels, progress)["digests"]
        return digests

    def layer_output(self, levels: Levels, layer: int) -> npt.NDArray[Any]:
        op = self._layers[checked_layer(layer, len(self._layers))]
        tensor = self.network.tensors[op.output]
        sample = checked_levels(self.network, levels[None])
        content = self._filter(sample, tensor.bytes, str(layer))
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape)

    def close(self) -> None:
        """Nothing is held: no process outlives its call."""

    def _results(self, levels: Levels, progress: Progress | None) -> npt.NDArray[Any]:
        """Structured array (N,) with fields `logits` and `digests`, laid out as the program writes them."""
        samples = checked_levels(self.network, levels)
        output = self.network.output_type
        record = np.dtype([("logits", output.dtype, output.shape), ("digests", np.uint32, (len(self._layers),))])
        results = np.empty(len(samples), record)
        for start in range(0, len(samples), CHUNK):
            part = samples[start : start + CHUNK]
            content = self._filter(part, len(part) * record.itemsize)
            results[start : start + len(part)] = np.frombuffer(content, record)
            if progress:
                progress(start + len(part))
        return results

    def _filter(self, samples: npt.NDArray[Any], expected_bytes: int, *arguments: str) -> bytes:
        environment = os.environ | {
            "ASAN_OPTIONS": "detect_leaks=0",  # there is no heap, and the leak check fails under a debugger
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        try:
            done = subprocess.run(
                [self._program, *arguments],
                input=samples.tobytes(),
                capture_output=True,
                timeout=SECONDS_PER_SAMPLE * len(samples),
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StqError(f"the sanitized program could not be run: {error}", where=str(self._program)) from error
        if done.returncode != 0 or len(done.stdout) != expected_bytes:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            raise StqError(
                f"the sanitized program failed (exit code {done.returncode}):\n"
                + "\n".join(f"    {line}" for line in lines[:12]),
                where=str(self._program),
                cause="a kernel reads or writes outside its arrays, or computes something C leaves undefined",
                next="report it with the model file",
            )
        return done.stdout
