"""Values in the form of hls4ml's users: floats, in the shapes that hls4ml's own backends take and return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.output import Floats, apply_functions


def checked_samples(x: Any, spec: TensorType) -> npt.NDArray[np.floating[Any]]:
    """`x`, floats of any shape, as (N, *spec.shape).

    Raises:
        StqError: not floats, or not a whole number of inputs.
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


def real_output(real: Floats, functions: Sequence[str]) -> Floats:
    """An output's real numbers (N, *shape), flat, with `functions` applied.

    Returns:
        float64 (N, elements), without the first axis for one sample. Without functions it is exact: a logit is an int32
        times a power of two, which float32 would round.
    """
    flat = apply_functions(real, functions).reshape(len(real), -1)
    return flat[0] if len(flat) == 1 else flat
