"""An integer network as an attack's oracle, wherever it runs: pictures in, output levels out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.task import check_attackable, stated_classes
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.research.attacks.grid import PIXELS, Samples
from stq_deploy.research.attacks.oracle import Logits, Oracle

Levels = npt.NDArray[np.integer[Any]]
RunQueries = Callable[[Levels, list[str]], Levels]
"""Input levels (N, *input shape), the digest of each -> output levels (N, outputs)."""
_DIGITS = 32
"""Hexadecimal digits of a SHA-256 that are kept: 128 bits distinguish any two queries."""


@dataclass(frozen=True)
class Exchange:
    """A query and its answer: the first 128 bits (hex) of the SHA-256 over input levels and over output levels."""

    asked: str
    answer: str


class NetworkOracle(Oracle):
    """An integer network that answers stored pictures.

    Args:
        network: of classes.
        run: computes its output levels.
        threshold: the user's, of a network of one unit; None: the network's own.

    Attributes:
        exchanges: every query with its answer, in order.

    Raises:
        StqError: the network draws fresh noise or gives no classes, or the threshold does not fit its output.
    """

    def __init__(self, network: Network, run: RunQueries, threshold: float | None = None) -> None:
        if network.has_noise:
            raise StqError(
                "the network draws fresh noise, and a live attack compares every answer with the host twin's",
                where=network.input,
                next="attack the Keras model with `--defence rnd:SIGMA`, which draws the same noise",
            )
        check_attackable(network.output_format)
        stated_classes(network.output_format, threshold)
        own = network.output_format.threshold
        self._output = replace(network.output_format, threshold=own if threshold is None else threshold)
        self._network, self._run = network, run
        self.classes = max(network.output_type.elements, 2)
        self.shape = network.input_type.shape
        self.grid = PIXELS
        self.exchanges: list[Exchange] = []

    def logits(self, x: Samples) -> Logits:
        """float64 (N, K): the output levels themselves, which are exact and have one scale."""
        levels = quantize_input(x, self._network.input_format)
        asked = [_digest(sample, self._network.input_type.dtype) for sample in levels]
        output = self._run(levels, asked).reshape(len(x), -1)
        self.exchanges += [Exchange(a, _digest(o, "int32")) for a, o in zip(asked, output, strict=True)]
        if output.shape[1] > 1:
            return output.astype(np.float64)
        return self._of_two_classes(output)

    def _of_two_classes(self, output: Levels) -> Logits:
        """Scores of one unit: it answers class 1 from its first level above the limit on, and class 0 has score 0."""
        least = self._output.first_level(self._network.output_type)
        above = output - least + 0.5 if not isinstance(least, bool) else np.full(output.shape, 0.5 if least else -0.5)
        return np.concatenate([np.zeros_like(above), above], axis=1)


def _digest(levels: Levels, dtype: str) -> str:
    stored = levels.astype(np.dtype(dtype).newbyteorder("<"))
    return hashlib.sha256(stored.tobytes()).hexdigest()[:_DIGITS]
