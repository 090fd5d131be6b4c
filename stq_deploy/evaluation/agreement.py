"""Board and integer reference, sample by sample: equal in every output level, or an error that names the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.summary import Comparison

_SHOWN = 10


def disagreement(comparisons: Sequence[Comparison]) -> StqError | None:
    """An error text if a board differs from the reference in any level of any sample; None if it is equal."""
    differing = {one.source: one.differing_logits for one in comparisons}
    parts = [f"{named(samples)} of {name}" for name, samples in differing.items() if len(samples)]
    if not parts:
        return None
    total, count = sum(len(one.samples) for one in comparisons), sum(map(len, differing.values()))
    return _error(f"the board differs from the integer reference in {count} of {total} samples: {'; '.join(parts)}")


def check_agreement(comparisons: Sequence[Comparison]) -> None:
    """Whether the board equals the reference.

    Raises:
        StqError: it does not; names the samples.
    """
    error = disagreement(comparisons)
    if error is not None:
        raise error


def check_none_differ(samples: npt.NDArray[np.int64], total: int, where: str) -> None:
    """Check that no sample of a board differs from the reference; `samples` are the numbers (M,) of those that do.

    Args:
        samples: numbers of those of which an output level differs.
        total: how many were compared.
        where: for the error.

    Raises:
        StqError: one differs; names the samples.
    """
    if len(samples):
        what = f"the board differs from the integer reference in {len(samples)} of {total} samples"
        raise _error(f"{what}: {named(samples)}", where)


def named(samples: npt.NDArray[np.int64]) -> str:
    """Text for sample numbers (M,), the first few: "samples 3, 17"."""
    shown = ", ".join(str(int(i)) for i in samples[:_SHOWN])
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    return f"sample{'s' if len(samples) > 1 else ''} {shown}{more}"


def _error(what: str, where: str = "") -> StqError:
    return StqError(
        what,
        where=where,
        cause="the board computes something else than the certified network",
        next="find the layer with `stq-deploy verify`, and report it with the model",
    )
