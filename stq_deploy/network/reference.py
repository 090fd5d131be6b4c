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
    """Logit levels (N, classes) of input levels (N, *input shape), `batch` samples at a time to bound memory."""
    parts = [_first_output(network, levels[i : i + batch]) for i in range(0, len(levels), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, *network.output_type.shape), network.output_type.dtype)


def _first_output(network: Network, levels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = levels
    for op, result in run_layers(network, levels):
        if op.output == network.outputs[0]:
            found = result
    return found
