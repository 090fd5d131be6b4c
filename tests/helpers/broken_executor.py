"""An executor that is wrong in one element, for tests that something notices."""

from __future__ import annotations

from typing import Any

import numpy as np

from stq_deploy.common.progress import SamplesDone
from stq_deploy.executors.executor import Crcs, Levels, crc_of
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network.ops import Counters
from stq_deploy.program import Program


class BrokenExecutor(NumpyExecutor):
    """Right except in one element of one layer in one sample; `heals` makes only the first run wrong."""

    def __init__(self, program: Program, layer: int, sample: Any, heals: bool = False, *, name: str = "broken") -> None:
        super().__init__(program, name=name)
        self.layer, self.sample, self.heals = layer, sample, heals

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        crcs = super().layer_crcs(levels, progress, counters).copy()
        for i in np.flatnonzero((levels == self.sample).all(axis=(1, 2, 3))):
            crcs[i, self.layer] = crc_of(self.spoil(super().layer_output(levels[i], self.layer)))
        return crcs

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> Any:
        right = super().layer_output(levels, layer, counter)
        if layer == self.layer and not self.heals and (levels == self.sample).all():
            return self.spoil(right)
        return right

    def spoil(self, output: Any) -> Any:
        wrong = output.copy()
        wrong.reshape(-1)[-1] ^= 1
        return wrong
