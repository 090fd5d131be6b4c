"""Samples to verify a network with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import load_samples
from stq_deploy.evaluation.inputs import Inputs, read_inputs
from stq_deploy.network import Network
from stq_deploy.zoo.shipped import shipped_samples


def verification_inputs(network: Network, samples: Path | None, limit: int) -> Inputs:
    """`limit` samples.

    They come from `samples`, if given. Else the first two are the input's extremes, which drive accumulators to their
    ends. Then follow one sample of each shipped file of the input's shape, and uniform noise.

    Raises:
        StqError: the sample file is unusable, of another shape, or outside the network's domain.
    """
    spec = network.input_type
    if samples is not None:
        return read_inputs(load_samples(samples).first(limit), network.input_format, str(samples))
    parts = [np.full((1, *spec.shape), level, np.int64) for level in (spec.maximum, spec.minimum)]
    for path in shipped_samples().values():
        shipped = load_samples(path).first(1) if path.is_file() else None
        if shipped is not None and shipped.x.shape[1:] == spec.shape:
            try:
                parts.append(read_inputs(shipped, network.input_format).levels)
            except StqError:  # a file for another network, which takes pixels where this one takes features
                continue
    missing = max(0, limit - len(parts))
    parts.append(np.random.default_rng(0).integers(spec.minimum, spec.maximum + 1, (missing, *spec.shape)))
    levels = np.concatenate(parts)[:limit]
    return Inputs(network.input_format.values(levels), levels, 0)
