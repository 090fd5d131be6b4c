"""Three answers to how large a network is, which publications and tools give without saying which.

- *qstats*: weights times bits as `print_qstats` of qkeras 0.9 counts them (`qkeras/estimate.py`). It counts a
  QDepthwiseConv2D as a full convolution: k * k * C * C weights, of which k * k * C exist. It leaves out biases, batch
  norm and the tables that sigmoids become. The paper states its networks' flash in this unit (of 1024 bytes).
- *packed*: the bytes of the packed weights, padding of rows to whole words included.
- *linked*: flash that the image takes, with requantization tables, kernels, the link's server and start-up code.
"""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.network import Network
from stq_deploy.network.ops import DepthwiseConvolve, WeightedOp
from stq_deploy.program import Program

_COUNTED_AS_FULL = "QDepthwiseConv2D"


@dataclass(frozen=True)
class SizeFigures:
    """Bytes by each convention, and what the linked image holds beside the weights.

    Attributes:
        qstats_bytes: may be no whole number of bytes, and is rounded up.
        packed_bytes: of the weights as they lie in flash.
        table_bytes: requantization arrays and look-up tables.
        other_bytes: kernels, link, start-up, descriptions of layers; padding between sections.
        linked_bytes: the sum of the last three.
    """

    qstats_bytes: int
    packed_bytes: int
    table_bytes: int
    other_bytes: int
    linked_bytes: int


def size_figures(program: Program, linked_bytes: int) -> SizeFigures:
    """Figures of a program whose image takes `linked_bytes` of flash."""
    other = linked_bytes - program.weight_bytes - program.table_bytes
    packed, tables = program.weight_bytes, program.table_bytes
    return SizeFigures(qstats_bytes(program.network), packed, tables, other, linked_bytes)


def qstats_bytes(network: Network) -> int:
    """Bytes of the weights as qstats counts them, each of the width it is packed to."""
    types = {layer.name: layer.type for layer in network.metadata.layers or ()}
    bits = 0
    for op in network.ops:
        if isinstance(op, WeightedOp):
            count = op.weights.size
            if isinstance(op, DepthwiseConvolve) and _COUNTED_AS_FULL in {types.get(name) for name in op.sources}:
                rows, columns = op.window.size
                count = rows * columns * network.tensors[op.inputs[0]].channels * network.tensors[op.output].channels
            bits += count * op.weight_bits
    return -(-bits // 8)
