"""The NumPy reference executor. Its results are right by definition; C, emulators and boards must equal them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.graph import Network
from stq_deploy.network.ops import Op


def run_layers(network: Network, levels: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[Op, npt.NDArray[Any]]]:
    """Run a batch op by op.

    Args:
        levels: (N, *input shape) input levels.

    Yields:
        Every op with its output, (N, *shape), in the output tensor's storage type.

    Raises:
        OverflowError: an output is outside its stated range (the certificate would be wrong).
    """
    values: dict[str, npt.NDArray[np.int64]] = {network.input: levels.astype(np.int64)}
    if not network.input_type.holds(values[network.input]):
        raise OverflowError("input levels leave the input's range")
    last_use = {name: i for i, op in enumerate(network.ops) for name in op.inputs}
    for i, op in enumerate(network.ops):
        output = network.tensors[op.output]
        result = op.run([values[name] for name in op.inputs], network.input_types(op), output)
        if not output.holds(result):
            raise OverflowError(f"{op.name}: output leaves its stated range {output.minimum}..{output.maximum}")
        values[op.output] = result
        for name in set(op.inputs):
            if last_use[name] == i:
                del values[name]
        yield op, result.astype(output.dtype)


def run(network: Network, levels: npt.NDArray[np.integer[Any]], batch: int = 64) -> npt.NDArray[Any]:
    """Logit levels (N, *shape of the first output) of input levels (N, *input shape); see `run_outputs`."""
    return run_outputs(network, levels, batch)[0]


def run_outputs(
    network: Network, levels: npt.NDArray[np.integer[Any]], batch: int = 64
) -> tuple[npt.NDArray[Any], ...]:
    """Levels (N, *shape) of every output, in its storage type, of input levels (N, *input shape).

    Args:
        batch: samples computed at a time, which bounds the memory.

    Raises:
        OverflowError: see `run_layers`.
    """
    types = [network.tensors[name] for name in network.outputs]
    found = tuple(np.empty((len(levels), *spec.shape), spec.dtype) for spec in types)
    for start in range(0, len(levels), batch):
        part = levels[start : start + batch]
        values = {network.input: part} | {op.output: result for op, result in _kept(network, part)}
        for name, levels_of_output in zip(network.outputs, found, strict=True):
            levels_of_output[start : start + len(part)] = values[name]
    return found


def _kept(network: Network, levels: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[Op, npt.NDArray[Any]]]:
    return ((op, result) for op, result in run_layers(network, levels) if op.output in network.outputs)
