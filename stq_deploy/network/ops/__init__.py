"""The operations of the integer network; each class's `run` is the definition of right.

To add one: a class here, then its kernel call in `stq_deploy.codegen.emitters` and its import in
`stq_deploy.frontend`.
"""

from stq_deploy.network.ops.base import Batch, Op
from stq_deploy.network.ops.convolve import Convolve
from stq_deploy.network.ops.dense import Dense
from stq_deploy.network.ops.depthwise_convolve import DepthwiseConvolve
from stq_deploy.network.ops.elementwise import Add, Multiply, PairTable, Reshape, Table
from stq_deploy.network.ops.max_pool import MaxPool
from stq_deploy.network.ops.weighted import WeightedOp
from stq_deploy.network.ops.window import Window

OP_KINDS: dict[str, type[Op]] = {
    cls.kind: cls for cls in (Convolve, DepthwiseConvolve, Dense, MaxPool, Table, PairTable, Add, Multiply, Reshape)
}

__all__ = [
    "OP_KINDS",
    "Add",
    "Batch",
    "Convolve",
    "Dense",
    "DepthwiseConvolve",
    "MaxPool",
    "Multiply",
    "Op",
    "PairTable",
    "Reshape",
    "Table",
    "WeightedOp",
    "Window",
]
