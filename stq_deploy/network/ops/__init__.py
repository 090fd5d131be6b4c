"""The operations of the integer network; each class's `run` is the definition of right.

To add one, follow docs/DESIGN.md, "Adding things".
"""

from stq_deploy.network.ops.arithmetic import Add, ElementwiseOp, Maximum, Minimum, Multiply, Rescale, ScaledOp
from stq_deploy.network.ops.average_pool import AveragePool
from stq_deploy.network.ops.convolve import Convolve
from stq_deploy.network.ops.curve import Curve
from stq_deploy.network.ops.dense import Dense
from stq_deploy.network.ops.depthwise_convolve import DepthwiseConvolve
from stq_deploy.network.ops.max_pool import MaxPool
from stq_deploy.network.ops.movement import Concatenate, Crop, Pad, Reshape, Upsample
from stq_deploy.network.ops.noise import FreshNoise
from stq_deploy.network.ops.op import UNNAMED, Batch, Counters, Op
from stq_deploy.network.ops.softmax import Softmax
from stq_deploy.network.ops.table import PairTable, Table
from stq_deploy.network.ops.weighted import WeightedOp
from stq_deploy.network.ops.window import Window

RequantizedOp = WeightedOp | AveragePool | ElementwiseOp
"""Ops with an accumulator, which `requantize` turns into a level."""

OP_KINDS: dict[str, type[Op]] = {
    cls.kind: cls
    for cls in (
        *(Convolve, DepthwiseConvolve, Dense),
        *(MaxPool, AveragePool),
        *(Table, PairTable, Curve, Softmax, Rescale, Add, Maximum, Minimum, Multiply),
        *(Reshape, Pad, Crop, Upsample, Concatenate),
        FreshNoise,
    )
}

__all__ = [
    "OP_KINDS",
    "UNNAMED",
    "Add",
    "AveragePool",
    "Batch",
    "Concatenate",
    "Convolve",
    "Counters",
    "Crop",
    "Curve",
    "Dense",
    "DepthwiseConvolve",
    "ElementwiseOp",
    "FreshNoise",
    "MaxPool",
    "Maximum",
    "Minimum",
    "Multiply",
    "Op",
    "Pad",
    "PairTable",
    "RequantizedOp",
    "Rescale",
    "Reshape",
    "ScaledOp",
    "Softmax",
    "Table",
    "Upsample",
    "WeightedOp",
    "Window",
]
