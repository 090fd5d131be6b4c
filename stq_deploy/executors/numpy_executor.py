"""The NumPy reference as an executor: right by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import SamplesDone
from stq_deploy.executors.executor import (
    Crcs,
    Executor,
    Levels,
    Outputs,
    checked_layer,
    checked_levels,
    crc_of,
    empty_outputs,
)
from stq_deploy.network import reference
from stq_deploy.network.ops import Counters
from stq_deploy.program import Program

BATCH = 64
"""Samples computed at a time: enough for BLAS, few enough for memory."""


class NumpyExecutor(Executor):
    """Runs a program's network by `stq_deploy.network.reference`."""

    def __init__(self, program: Program, *, name: str = "numpy") -> None:
        self.program = program
        self.name = name

    def run(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Outputs:
        levels = checked_levels(self.program, levels)
        counters = reference.numbered(counters, len(levels))
        outputs = empty_outputs(self.program, len(levels))
        for start in range(0, len(levels), BATCH):
            part = levels[start : start + BATCH]
            numbers = counters[start : start + BATCH]
            found = reference.run_outputs(self.program.network, part, BATCH, numbers)
            for output, values in zip(outputs, found, strict=True):
                output[start : start + len(part)] = values
            if progress:
                progress(start + len(part))
        return outputs

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        program = self.program
        levels = checked_levels(program, levels)
        counters = reference.numbered(counters, len(levels))
        crcs = np.empty((len(levels), len(program.layers)), np.uint32)
        index = {layer.name: layer.index for layer in program.layers}
        for start in range(0, len(levels), BATCH):
            part = levels[start : start + BATCH]
            for op, outputs in reference.run_layers(program.network, part, counters[start : start + BATCH]):
                if op.name in index:
                    crcs[start : start + len(part), index[op.name]] = [crc_of(output) for output in outputs]
            if progress:
                progress(start + len(part))
        return crcs

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> npt.NDArray[Any]:
        wanted = checked_layer(self.program, layer).op
        levels = checked_levels(self.program, levels[None])
        layers = reference.run_layers(self.program.network, levels, np.array([counter], np.uint64))
        return next(output[0] for op, output in layers if op is wanted)

    def close(self) -> None:
        """Does nothing: the executor holds nothing."""
