"""What every executor offers, and what they share."""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import SamplesDone
from stq_deploy.network.ops import Counters
from stq_deploy.program import Layer, Program

Levels = npt.NDArray[np.integer[Any]]
Crcs = npt.NDArray[np.uint32]
Outputs = tuple[npt.NDArray[Any], ...]
"""Levels (N, *shape) of each of a network's outputs, in its order."""


class Executor(Protocol):
    """Runs a network on input levels. It is a context manager: leaving it calls `close`.

    Every executor has the program's layers, in the program's order.

    Attributes:
        name: for tables: "numpy", "host", ...
        program: what it runs.
    """

    name: str
    program: Program

    def run(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Outputs:
        """Levels (N, *output shape) of every output, in its storage type, of input levels (N, *input shape).

        The first output holds the logits.

        Args:
            counters: (N,) the samples' counters, for a network with fresh noise; None: 0, 1, 2, ...

        Raises:
            StqError: levels of a wrong shape or outside the input's range, or the executor fails.
        """
        ...

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        """uint32 (N, layers): CRC-32 (zlib's) of each layer's output bytes, little endian, for each sample.

        Args:
            counters: as for `run`.

        Raises:
            StqError: as `run`.
        """
        ...

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> npt.NDArray[Any]:
        """Output of one layer, in its tensor's shape and storage type, for one sample (*input shape).

        Args:
            counter: the sample's.

        Raises:
            StqError: as `run`, or no layer has this index.
        """
        ...

    def close(self) -> None:
        """Release what the executor holds. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def crc_of(output: npt.NDArray[Any]) -> int:
    """CRC-32 (zlib's) of an array's bytes, little endian."""
    return zlib.crc32(output.astype(output.dtype.newbyteorder("<"), copy=False).tobytes())


def checked_levels(program: Program, levels: Levels) -> npt.NDArray[Any]:
    """Levels (N, *input shape) as the C-contiguous array, in the input's storage type, that goes to the device.

    Raises:
        StqError: wrong shape, not integers, or outside the input's reachable range.
    """
    spec = program.network.input_type
    if levels.shape[1:] != spec.shape or levels.ndim != len(spec.shape) + 1:
        raise StqError(
            f"input levels have shape {levels.shape}, the network takes (N, *{spec.shape})",
            cause="the samples were made for another network",
            next="choose samples of the network's input shape",
        )
    if not np.issubdtype(levels.dtype, np.integer) or not spec.holds(levels):
        raise StqError(
            f"input levels are not integers in {spec.minimum}..{spec.maximum}",
            cause="the samples were not quantized for this network",
            next="give the samples themselves to `predict` of the Python interface, which quantizes them",
        )
    return np.ascontiguousarray(levels, spec.dtype)


def checked_layer(program: Program, index: int) -> Layer:
    """The layer of an index.

    Raises:
        StqError: no layer has this index.
    """
    if not 0 <= index < len(program.layers):
        raise StqError(f"there is no layer {index}", next=f"choose one of 0..{len(program.layers) - 1}")
    return program.layers[index]


def empty_outputs(program: Program, samples: int) -> Outputs:
    """Uninitialized arrays for the outputs of a number of samples."""
    return tuple(np.empty((samples, *place.type.shape), place.type.dtype) for place in program.outputs)


def output_record(program: Program) -> np.dtype[Any]:
    """The dtype of one sample's outputs without gaps: fields "0", "1", ... in the network's order."""
    return np.dtype([(str(i), place.type.dtype, place.type.shape) for i, place in enumerate(program.outputs)])


def outputs_of(program: Program, records: npt.NDArray[Any]) -> Outputs:
    """Outputs out of records (N,) that have the fields of `output_record`."""
    return tuple(np.ascontiguousarray(records[str(i)]) for i in range(len(program.outputs)))
