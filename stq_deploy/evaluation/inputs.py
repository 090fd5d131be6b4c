"""Samples for a network and its Keras model, and the number outside the network's domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.network.input_format import InputFormat, Levels, Values


@dataclass(frozen=True, eq=False)
class Inputs:
    """The same samples twice.

    Attributes:
        values: float32 (N, *input shape), for the Keras model: neither clipped nor rounded.
        levels: int64 (N, *input shape), for the network.
        outside: samples with a value beyond the levels of the model's own input quantizer, which clips it, as in Keras.
    """

    values: Values
    levels: Levels
    outside: int

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {"samples_outside_domain": self.outside}


def read_inputs(samples: SampleSet, format: InputFormat, name: str = "") -> Inputs:
    """Samples for a network of this input.

    Args:
        name: of the sample file, for errors.

    Raises:
        StqError: samples of another shape, pixels where features are wanted, or values outside the input's domain.
    """
    try:
        values = format.model_values(samples.x, features=samples.holds_features)
        levels = format.levels(values)
    except StqError as error:
        raise StqError(error.what, where=error.where or name, cause=error.cause, next=error.next) from error
    return Inputs(values, levels, count_outside(format, values))


def count_outside(format: InputFormat, values: Values) -> int:
    """Number of samples (N, *input shape) with a value outside the domain, or beyond the model's own quantizer."""
    return int(np.any(format.outside(values).reshape(len(values), -1), axis=1).sum())
