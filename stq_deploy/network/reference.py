"""The NumPy reference executor. Its results are right by definition; C, emulators and boards must equal them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.graph import Network
from stq_deploy.network.ops import Counters, Op


def run_layers(
    network: Network, levels: npt.NDArray[np.integer[Any]], counters: Counters | None = None
) -> Iterator[tuple[Op, npt.NDArray[Any]]]:
    """Run a batch op by op.

    Args:
        levels: (N, *input shape) input levels.
        counters: (N,) the samples' counters, for a network with fresh noise; None: 0, 1, 2, ...

    Yields:
        Every op with its output, (N, *shape), in the output tensor's storage type.

    Raises:
        OverflowError: an output is outside its stated range (the certificate would be wrong).
    """
    counters = numbered(counters, len(levels))
    values: dict[str, npt.NDArray[np.int64]] = {network.input: levels.astype(np.int64)}
    if not network.input_type.holds(values[network.input]):
        raise OverflowError("input levels leave the input's range")
    last_use = {name: i for i, op in enumerate(network.ops) for name in op.inputs}
    for i, op in enumerate(network.ops):
        output = network.tensors[op.output]
        result = op.run_at([values[name] for name in op.inputs], network.input_types(op), output, counters)
        if not output.holds(result):
            raise OverflowError(f"{op.name}: output leaves its stated range {output.minimum}..{output.maximum}")
        values[op.output] = result
        for name in set(op.inputs):
            if last_use[name] == i:
                del values[name]
        yield op, result.astype(output.dtype)


def run(
    network: Network, levels: npt.NDArray[np.integer[Any]], batch: int = 64, counters: Counters | None = None
) -> npt.NDArray[Any]:
    """Logit levels (N, *shape of the first output) of input levels (N, *input shape); see `run_outputs`."""
    return run_outputs(network, levels, batch, counters)[0]


def run_outputs(
    network: Network, levels: npt.NDArray[np.integer[Any]], batch: int = 64, counters: Counters | None = None
) -> tuple[npt.NDArray[Any], ...]:
    """Levels (N, *shape) of every output, in its storage type, of input levels (N, *input shape).

    Args:
        batch: samples computed at a time, which bounds the memory.
        counters: as for `run_layers`.

    Raises:
        OverflowError: see `run_layers`.
    """
    counters = numbered(counters, len(levels))
    types = [network.tensors[name] for name in network.outputs]
    found = tuple(np.empty((len(levels), *spec.shape), spec.dtype) for spec in types)
    for start in range(0, len(levels), batch):
        part = levels[start : start + batch]
        numbers = counters[start : start + batch]
        values = {network.input: part} | {op.output: result for op, result in _kept(network, part, numbers)}
        for name, levels_of_output in zip(network.outputs, found, strict=True):
            levels_of_output[start : start + len(part)] = values[name]
    return found


def numbered(counters: Counters | None, samples: int) -> Counters:
    """The samples' counters (N,); 0, 1, 2, ... where none are given.

    Raises:
        ValueError: there are not as many as samples.
    """
    if counters is None:
        return np.arange(samples, dtype=np.uint64)
    if counters.shape != (samples,):
        raise ValueError(f"{counters.shape} counters cannot number {samples} samples")
    return counters.astype(np.uint64)


def _kept(
    network: Network, levels: npt.NDArray[np.integer[Any]], counters: Counters
) -> Iterator[tuple[Op, npt.NDArray[Any]]]:
    return ((op, result) for op, result in run_layers(network, levels, counters) if op.output in network.outputs)
