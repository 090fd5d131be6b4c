"""What hls4ml's users give and get: floats, in the shapes that hls4ml's own backends take and return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.network import TensorType

Floats = npt.NDArray[np.float64]


def checked_samples(x: Any, spec: TensorType) -> npt.NDArray[np.floating[Any]]:
    """`x`, floats of any shape, as (N, *spec.shape).

    Raises:
        StqError: no floats, or not a whole number of inputs.
    """
    samples = np.asarray(x)
    if not np.issubdtype(samples.dtype, np.floating):
        raise StqError(
            f"the samples are of type {samples.dtype}",
            cause="they are pixels as a file holds them",
            next="give floats, scaled as for the Keras model: x.astype('float32') / 255",
        )
    if samples.size == 0 or samples.size % spec.elements:
        raise StqError(
            f"samples of shape {samples.shape} are not whole inputs of shape {spec.shape}",
            next=f"give an array of shape (N, {', '.join(map(str, spec.shape))})",
        )
    return samples.reshape(-1, *spec.shape)


def real_output(levels: npt.NDArray[Any], spec: TensorType, functions: Sequence[str]) -> Floats:
    """An output's levels (N, *spec.shape) as the numbers they stand for, flat, with `functions` applied.

    Returns:
        float64 (N, elements), without the first axis for one sample. Without functions exact: a logit is an int32 times
        a power of two, which float32 would round.
    """
    real = (levels.astype(np.float64) - spec.zero_point) * spec.scale
    for name in functions:
        real = FUNCTIONS[name](real)
    flat = real.reshape(len(real), -1)
    return flat[0] if len(flat) == 1 else flat


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _sigmoid(logits: Floats) -> Floats:
    result: Floats = (1 + np.tanh(logits / 2)) / 2  # as 1 / (1 + exp(-x)), without its overflow
    return result


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {"softmax": _softmax, "sigmoid": _sigmoid, "tanh": np.tanh}
"""Those of a network's `output_functions`."""
