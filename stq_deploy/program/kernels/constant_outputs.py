"""Outputs of a dense layer that are the same level for every input: they are constants, and need no weights.

Training kills units. The weights of a dead unit are 0, or its requantization is flat over every sum that its weights
can reach. The op keeps such an output, and so do the model's shape, every tensor's bytes and the network's hash. Only
the program leaves its row of weights out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import TensorType
from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import Requantize, of_channels
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, Finish, Struct, fields
from stq_deploy.program.kernels.work import Work

SCATTER = "stq_scatter"
"""The C function that adds the constants. It runs no op of its own, so it is not a kernel of a family."""
_PLACE_BYTES = 4
_CODE_BYTES = 128
"""Bytes that a layer which saves fewer would not be worth: about those of `stq_scatter` and its call."""


@dataclass(frozen=True, eq=False)
class LiveOutputs:
    """A dense layer as its kernel runs it: the outputs that depend on the input, and what the others are.

    Attributes:
        work: the layer without the constant outputs.
        places: int32 (live outputs,), ascending: where they lie in the whole output.
        constants: the output's type (outputs,): the level of each constant output, 0 for the others.
    """

    work: Work[Dense]
    places: npt.NDArray[np.int32]
    constants: npt.NDArray[np.int8] | npt.NDArray[np.int16] | npt.NDArray[np.int32]

    @property
    def folded(self) -> int:
        """How many outputs are constants without weights."""
        return len(self.constants) - len(self.places)

    @property
    def table_bytes(self) -> int:
        """Bytes of the places and constants."""
        return self.places.nbytes + self.constants.nbytes if self.folded else 0

    def finish(self, context: CallContext[Dense]) -> Finish:
        """The call that makes the whole output of the live ones."""
        levels = f"levels of the {self.folded} outputs without weights"
        places = context.constant("places", self.places, "where each output with weights lies")
        constants = context.constant("constants", self.constants, levels)
        output = context.output
        sizes = fields(type=STQ_TYPES[output.dtype], count=len(self.places), elements=output.elements)
        arguments = ("&scatter", places.name, constants.name, context.output_pointer)
        return Finish(
            (places, constants), (Struct("stq_scatter_params", "scatter", (sizes,)),), "stq_scatter", arguments
        )


def constant_outputs(op: Dense, x: TensorType) -> npt.NDArray[np.bool_]:
    """bool (outputs,): which outputs are proved to be one level for every input with the levels of `x`.

    An output is proved if its level is the same at both ends of what its sum can reach. Its requantization must also
    never fall, or never rise, between them.
    """
    low, high = op.accumulator_range(x)
    equal = op.requantize.apply(low[None])[0] == op.requantize.apply(high[None])[0]
    proved = np.zeros(len(low), bool)
    for channel in np.flatnonzero(equal):
        one = np.array([channel])
        proved[channel] = _is_monotone(of_channels(op.requantize, one), low[one], high[one])
    return proved


def live_outputs(work: Work[Dense]) -> LiveOutputs:
    """The layer with the fewest rows of weights; all rows where leaving some out saves nothing.

    One output always keeps its row, because a kernel of no outputs does not exist.
    """
    op, (x,), outputs = work.op, work.inputs, work.output.elements
    constant = constant_outputs(op, x)
    constant[0] &= not constant.all()
    places = np.flatnonzero(~constant)
    levels = op.requantize.apply(op.accumulator_range(x)[0][None])[0]
    constants = np.where(constant, levels, 0).astype(work.output.dtype)
    row_bytes = op.weights.shape[0] * op.weight_bits // 8
    saved = int(constant.sum()) * row_bytes
    if saved <= constants.nbytes + _PLACE_BYTES * len(places) + _CODE_BYTES:
        return LiveOutputs(work, np.arange(outputs, dtype=np.int32), np.zeros_like(constants))
    weights: Any = np.ascontiguousarray(op.weights[:, places])
    kept = replace(op, weights=weights, requantize=of_channels(op.requantize, places))
    output = replace(work.output, shape=(len(places),))
    return LiveOutputs(Work(kept, work.inputs, output), places.astype(np.int32), constants)


def _is_monotone(form: Requantize, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> bool:
    """Whether a form of one channel never falls, or never rises, from `low` to `high`."""
    signs = (np.array([1], np.int64), np.array([-1], np.int64))
    return bool((low == high).all()) or any(form.rises(sign, low, high) for sign in signs)
