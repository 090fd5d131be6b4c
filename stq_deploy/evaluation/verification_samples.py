"""Input levels to verify a network with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stq_deploy.datasets.samples import load_samples
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.zoo.shipped import shipped_samples


def verification_levels(network: Network, samples: Path | None, limit: int) -> npt.NDArray[np.int64]:
    """`limit` input levels (limit, *input shape).

    From `samples`, if given. Else the input's two extremes, which drive accumulators to their ends, then one
    sample of each shipped file that has the input's shape, and uniform noise for the rest.

    Raises:
        StqError: the sample file is unusable or of another shape.
    """
    spec = network.input_type
    if samples is not None:
        return quantize_input(load_samples(samples).first(limit).x, network.input_format)
    parts = [np.full((1, *spec.shape), level, np.int64) for level in (spec.maximum, spec.minimum)]
    for path in shipped_samples().values():
        shipped = load_samples(path).x[:1] if path.is_file() else None
        if shipped is not None and shipped.shape[1:] == spec.shape:
            parts.append(quantize_input(shipped, network.input_format))
    missing = max(0, limit - len(parts))
    parts.append(np.random.default_rng(0).integers(spec.minimum, spec.maximum + 1, (missing, *spec.shape)))
    return np.concatenate(parts)[:limit]
