"""Fresh Gaussian noise on levels: the random noise defense (RND, Qin et al. 2021, arXiv:2104.11470) as an op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.network.checks import require
from stq_deploy.network.noise import MAX_SIGMA, gaussian_batch
from stq_deploy.network.ops.op import Batch, Counters, Op, check_same_levels, check_same_shape
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class FreshNoise(Op):
    """`clip(x + noise)` to the output's range, with noise that no other sample has.

    `network/noise.py` defines the noise. It depends on the seed, the sample's counter and the element's place, and on
    nothing else. So executors that know the counter draw the same noise.

    Attributes:
        sigma: standard deviation, in levels, 0 to `MAX_SIGMA`; 0 changes nothing.
        seed: 0 to 2^64 - 1. Two such ops of one network draw the same noise where their seeds are equal.
    """

    sigma: float
    seed: int
    kind: ClassVar[str] = "noise"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        """Sample i of the batch has the counter i."""
        return self.run_at(inputs, types, output, np.arange(len(inputs[0]), dtype=np.uint64))

    def run_at(
        self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType, counters: Counters
    ) -> Batch:
        noise = gaussian_batch(self.seed, counters, output.shape, self.sigma)
        noisy: Batch = np.clip(inputs[0] + noise, output.minimum, output.maximum)
        return noisy

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        check_same_shape(types, output)
        check_same_levels(types[0], output, "noise")
        require(0 <= self.sigma <= MAX_SIGMA, f"the noise's standard deviation is not in 0..{MAX_SIGMA:g}")
        require(0 <= self.seed < 1 << 64, "the noise's seed is not in 0..2**64 - 1")
