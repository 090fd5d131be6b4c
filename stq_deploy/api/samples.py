"""Arrays of the caller as samples, as the network's input, and its outputs as arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stq_deploy.api.types import Outputs
from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, samples_of
from stq_deploy.evaluation.inputs import Inputs, read_inputs
from stq_deploy.executors import Executor
from stq_deploy.network import Network
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import real_values

PICTURE_AXES = 3
"""Axes of a sample that is a picture."""


def predicted(executor: Executor, x: npt.ArrayLike, levels: bool, features: bool | None) -> Outputs:
    """An executor's outputs for samples: one array, or a tuple for several outputs."""
    network = executor.program.network
    outputs = executor.run(inputs_of(network, x, None, features)[1].levels)
    types = [network.tensors[name] for name in network.outputs]
    found = outputs if levels else tuple(real_values(*pair) for pair in zip(outputs, types, strict=True))
    return found[0] if len(found) == 1 else found


def inputs_of(
    network: Network, x: npt.ArrayLike, labels: npt.ArrayLike | None, features: bool | None
) -> tuple[SampleSet, Inputs]:
    """Samples as if read from a sample file, and the network's input for them."""
    taken = _takes_features(network.input_format) if features is None else features
    try:
        samples = samples_of(x, labels, features=taken)
        return samples, read_inputs(samples, network.input_format)
    except StqError as error:
        if taken or features is not None or not _may_be_features(x):
            raise
        also = "; or say features=True, if they are the model's own input and not pixels"
        raise StqError(error.what, where=error.where, cause=error.cause, next=error.next + also) from error


def with_whole_range(samples: SampleSet, format: InputFormat) -> SampleSet:
    """Samples whose features may take every value that the network was made for, as an attack moves them there."""
    if not samples.holds_features or (format.domain is None and format.rounding is not None):
        return samples  # a curve's levels do not determine its input's range
    if format.domain is not None:
        low, high = format.domain.low, format.domain.high
    else:
        low, high = (
            format.type.scale * (end - format.type.zero_point) for end in (format.type.minimum, format.type.maximum)
        )
    stated = samples.stated_range or (low, high)
    whole = float(min(low, stated[0])), float(max(high, stated[1]))
    return replace(samples, metadata=replace(samples.metadata, range=whole))


def _may_be_features(x: npt.ArrayLike) -> bool:
    """Whether samples are finite floats and no pixels."""
    try:
        values = np.asarray(x)
    except (ValueError, TypeError):  # rows of different lengths
        return False
    finite = values.dtype.kind == "f" and values.size > 0 and bool(np.isfinite(values).all())
    return finite and not 0 <= values.min() <= values.max() <= 1


def _takes_features(format: InputFormat) -> bool:
    """Whether samples are features where the caller does not say it: by the same rule as for sample files."""
    made_for_features = format.domain is not None and format.domain.features
    return made_for_features or len(format.type.shape) != PICTURE_AXES
