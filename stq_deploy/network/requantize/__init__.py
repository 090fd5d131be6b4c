"""How an accumulator becomes an output level: the eight forms of .stq files, defined here in NumPy.

Each form applies per channel, the last axis. `stq_deploy.lowering.certify` finds one that equals the trained network's
function for every reachable accumulator. These classes define each form's function and the conditions on its constants.
They also give the arrays and settings of the C structure `stq_requantize` that a kernel reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray
from stq_deploy.network.requantize.keep import KeepAccumulator
from stq_deploy.network.requantize.multiplier import MultiplierRequantize
from stq_deploy.network.requantize.rounded import RoundedRequantize
from stq_deploy.network.requantize.shift import ShiftRequantize
from stq_deploy.network.requantize.table import TableRequantize
from stq_deploy.network.requantize.threshold import ThresholdRequantize
from stq_deploy.network.requantize.wide import LongRequantize, WideRequantize
from stq_deploy.network.tensor import TensorType

Requantize = (
    MultiplierRequantize
    | ShiftRequantize
    | WideRequantize
    | LongRequantize
    | RoundedRequantize
    | ThresholdRequantize
    | TableRequantize
    | KeepAccumulator
)  # fmt: skip
REQUANTIZE_KINDS: dict[str, type[Form]] = {cls.kind: cls for cls in get_args(Requantize)}


def check_form(form: Requantize, low: Accumulators, high: Accumulators, output: TensorType) -> None:
    """Check that every accumulator in [low, high] gives a level of `output` without overflow.

    Args:
        low, high: int64 (C,), the reachable accumulators.

    Raises:
        ValueError: some accumulator does not, or the form's constants are inconsistent.
    """
    form.check_constants(low, high)  # first, as the ends of some forms are elements of their arrays
    within = output.minimum <= form.minimum <= form.maximum <= output.maximum
    require(within, "requantization leaves the output's range")


def of_channels(form: Requantize, kept: Sequence[int] | npt.NDArray[np.int64]) -> Requantize:
    """The same requantization restricted to the channels with the indices `kept`, in that order."""
    attributes = {f.name: getattr(form, f.name) for f in dataclasses.fields(form)}
    # A table may have one row for all channels, which stays.
    rows = {
        name: rows[kept]
        for name, rows in attributes.items()
        if isinstance(rows, np.ndarray) and len(rows) == form.channels
    }
    counted = {"channels": len(kept)} if "channels" in attributes else {}
    return dataclasses.replace(form, **rows, **counted)  # type: ignore[arg-type]  # fields of this very form


__all__ = [
    "REQUANTIZE_KINDS",
    "Accumulators",
    "Form",
    "FormArray",
    "KeepAccumulator",
    "LongRequantize",
    "MultiplierRequantize",
    "Requantize",
    "RoundedRequantize",
    "ShiftRequantize",
    "TableRequantize",
    "ThresholdRequantize",
    "WideRequantize",
    "check_form",
    "of_channels",
]
