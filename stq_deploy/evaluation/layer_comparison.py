"""Compares every layer's output between executors: equal to the byte, or the first difference."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError, printable
from stq_deploy.executors import Executor
from stq_deploy.executors.executor import Crcs

Levels = npt.NDArray[np.integer[Any]]
ExecutorProgress = Callable[[str, int], None]
"""Called with an executor's name and how many samples it has finished."""


@dataclass(frozen=True)
class Difference:
    """The first element in which an executor's layer output differs from the reference's.

    Attributes:
        executor: its name.
        layer: its index; name: its name.
        sample: index among the samples compared.
        elements: how many elements of this output differ; 0 if a second run of the same sample gave the right
            output, a sign of an unreliable executor.
        index: of the first one, in the layer's output shape.
        expected, found: its levels.
    """

    executor: str
    layer: int
    name: str
    sample: int
    elements: int
    index: tuple[int, ...] = ()
    expected: int = 0
    found: int = 0

    def __str__(self) -> str:
        where = f"{self.executor} differs first in layer {self.layer} ({self.name}), sample {self.sample}"
        if not self.elements:
            return f"{where}; a second run of that sample was right, so {self.executor} is unreliable."
        return (
            f"{where}, element {self.index}: {self.found} instead of {self.expected} "
            f"({self.elements} elements of this output differ)."
        )


@dataclass(frozen=True)
class ComparedLayer:
    """One layer: a CRC-32 over its CRCs of all samples, and by executor how many samples differ."""

    index: int
    name: str
    op: str
    crc: int
    differing_samples: dict[str, int]

    @property
    def equal(self) -> bool:
        """Whether every executor gave the reference's bytes in every sample."""
        return not any(self.differing_samples.values())


@dataclass(frozen=True)
class LayerComparison:
    """The results of `verify`.

    Attributes:
        reference: name of the executor the others are compared with; executors: the others' names.
        samples: how many were compared.
        rows: one per layer.
        differences: per executor that differs, its first difference.
    """

    reference: str
    executors: tuple[str, ...]
    samples: int
    rows: tuple[ComparedLayer, ...]
    differences: tuple[Difference, ...]

    @property
    def differing_layers(self) -> int:
        """Layers whose output differs in any executor and sample; 0 is the only good number."""
        return sum(not row.equal for row in self.rows)

    def raise_if_different(self) -> None:
        """Turn a difference into an error.

        Raises:
            StqError: an executor differs from the reference in any layer and sample; it names the first difference.
        """
        if self.differing_layers:
            raise StqError(
                f"{self.differing_layers} of {len(self.rows)} layers differ from {self.reference}: "
                + printable(" ".join(map(str, self.differences))),
                cause="a compiler, an emulator or a kernel computes something else",
                next="report it with the model file and the compiler's version",
            )


def compare_layers(
    reference: Executor,
    others: Sequence[Executor],
    levels: Levels,
    progress: ExecutorProgress = lambda _name, _done: None,
) -> LayerComparison:
    """Run all executors on input levels (N, *input shape) and compare the CRCs of every layer.

    Raises:
        StqError: an executor fails.
    """
    layers = reference.program.layers
    expected = _crcs(reference, levels, progress)
    found = {other.name: _crcs(other, levels, progress) for other in others}
    rows = tuple(
        ComparedLayer(
            index=i,
            name=layer.name,
            op=layer.op.kind,
            crc=zlib.crc32(np.ascontiguousarray(expected[:, i], "<u4").tobytes()),
            differing_samples={name: int((crcs[:, i] != expected[:, i]).sum()) for name, crcs in found.items()},
        )
        for i, layer in enumerate(layers)
    )
    differences = tuple(
        _first_difference(reference, other, levels, expected, found[other.name])
        for other in others
        if (found[other.name] != expected).any()
    )
    return LayerComparison(reference.name, tuple(found), len(levels), rows, differences)


def _crcs(executor: Executor, levels: Levels, progress: ExecutorProgress) -> Crcs:
    return executor.layer_crcs(levels, lambda done: progress(executor.name, done))


def _first_difference(reference: Executor, other: Executor, levels: Levels, expected: Crcs, found: Crcs) -> Difference:
    """The earliest differing layer in the first differing sample; later differences may be its consequence."""
    layer = int(np.flatnonzero((found != expected).any(axis=0))[0])
    sample = int(np.flatnonzero(found[:, layer] != expected[:, layer])[0])
    name = reference.program.layers[layer].name
    right = reference.layer_output(levels[sample], layer, sample)
    wrong = other.layer_output(levels[sample], layer, sample)
    places = np.argwhere(right != wrong)
    if not len(places):
        return Difference(other.name, layer, name, sample, 0)
    index = tuple(int(i) for i in places[0])
    return Difference(other.name, layer, name, sample, len(places), index, int(right[index]), int(wrong[index]))
