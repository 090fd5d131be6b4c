"""The NumPy reference as an executor: right by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.executors.base import (
    Digests,
    Executor,
    Levels,
    Progress,
    checked_layer,
    checked_levels,
    digest,
)
from stq_deploy.network import Network, reference
from stq_deploy.program import emitted_ops

BATCH = 64
"""Samples computed at a time: enough for BLAS, little enough memory."""


class NumpyExecutor(Executor):
    """Runs a network by `stq_deploy.network.reference`."""

    name = "numpy"

    def __init__(self, network: Network) -> None:
        self.network = network
        self._layers = emitted_ops(network)

    def run(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[Any]:
        levels = checked_levels(self.network, levels)
        output = self.network.output_type
        logits = np.empty((len(levels), *output.shape), output.dtype)
        for start in range(0, len(levels), BATCH):
            part = levels[start : start + BATCH]
            logits[start : start + len(part)] = reference.run(self.network, part, BATCH)
            if progress:
                progress(start + len(part))
        return logits

    def layer_digests(self, levels: Levels, progress: Progress | None = None) -> Digests:
        levels = checked_levels(self.network, levels)
        digests = np.empty((len(levels), len(self._layers)), np.uint32)
        index = {op.name: i for i, op in enumerate(self._layers)}
        for start in range(0, len(levels), BATCH):
            part = levels[start : start + BATCH]
            for op, outputs in reference.run_layers(self.network, part):
                if op.name in index:
                    digests[start : start + len(part), index[op.name]] = [digest(output) for output in outputs]
            if progress:
                progress(start + len(part))
        return digests

    def layer_output(self, levels: Levels, layer: int) -> npt.NDArray[Any]:
        wanted = self._layers[checked_layer(layer, len(self._layers))]
        levels = checked_levels(self.network, levels[None])
        return next(output[0] for op, output in reference.run_layers(self.network, levels) if op is wanted)

    def close(self) -> None:
        """Nothing is held."""
