"""Requirements of the C interface on a consistent network."""

from __future__ import annotations

from collections.abc import Sequence

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import AveragePool, Concatenate, Op, RequantizedOp, ScaledOp, WeightedOp
from stq_deploy.network.requantize import TableRequantize
from stq_deploy.network.tensor import STORAGE_RANGE

INPUT_TYPES = ("int8", "int16")
"""Storage types of input levels on the link."""


def check_limits(network: Network, layers: Sequence[Op]) -> None:
    """Refuse networks that the NumPy reference computes but the kernels cannot.

    Args:
        layers: the ops that do work on the device.

    Raises:
        StqError: the network does not take int8 or int16 levels, has no layer, or a layer violates the kernels'
            contract (`stq_nn.h`).
    """
    if network.input_type.dtype not in INPUT_TYPES:
        raise _refuse(f"the input is stored as {network.input_type.dtype}", f"tensor {network.input!r}",
                      "the link takes int8 and int16 levels")  # fmt: skip
    if not layers:
        raise _refuse("the network has no layer that computes anything", "network", "it holds only reshapes")
    for op in layers:
        _check_op(op, network.input_types(op), network.tensors[op.output])


def _check_op(op: Op, inputs: Sequence[TensorType], output: TensorType) -> None:
    where = f"layer {op.name!r}"
    for t in inputs:
        low, high = t.minimum - t.zero_point, t.maximum - t.zero_point
        if isinstance(op, WeightedOp) and not _fits("int16", low, high):
            # The kernels multiply pairs of 16-bit values (SMLAD).
            raise _refuse(f"an input minus its zero point spans {low}..{high}, beyond 16 bits", where,
                          "a 16-bit activation has a zero point far from 0")  # fmt: skip
        if not _fits("int32", -t.zero_point, low, high):
            raise _refuse(f"the zero point {t.zero_point} does not fit 32 bits", where, "the .stq file is hand-made")
    if isinstance(op, (ScaledOp, Concatenate)):
        for t, factor in zip(inputs, op.factors, strict=True):
            terms = ((t.minimum - t.zero_point) * factor, (t.maximum - t.zero_point) * factor)
            if not _fits("int32", factor, *terms):
                raise _refuse(f"the factor {factor} overflows 32 bits", where, "the inputs' scales are too far apart")
    if isinstance(op, Concatenate) and not _fits("int32", output.zero_point, -output.zero_point):
        raise _refuse(f"the zero point {output.zero_point} does not fit 32 bits", where, "the .stq file is hand-made")
    if isinstance(op, AveragePool) and not _fits("int32", op.multiple(inputs[0])):
        raise _refuse("its windows' sizes have no common multiple of 32 bits", where,
                      "many windows are cut off at the image's edge, each in its own way")  # fmt: skip
    if (
        isinstance(op, RequantizedOp)
        and isinstance(op.requantize, TableRequantize)
        and not _fits("int32", op.requantize.base)
    ):
        raise _refuse(f"its table begins at {op.requantize.base}", where, "the .stq file is hand-made")


def _fits(dtype: str, *values: int) -> bool:
    low, high = STORAGE_RANGE[dtype]
    return all(low <= v <= high for v in values)


def _refuse(what: str, where: str, cause: str) -> StqError:
    return StqError(
        f"the C kernels cannot run this network: {what}",
        where=where,
        cause=cause,
        next="quantize the layer's activation to at most 8 bits in the QKeras model and convert it again",
    )
