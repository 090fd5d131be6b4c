"""Which kernel runs an op: the table that a new kernel gets a row in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stq_deploy.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Op, WeightedOp


@dataclass(frozen=True)
class Kernel:
    """One function of the kernel library and what it can run.

    Attributes:
        function: its C name, declared in `stq_nn.h`.
        kind: the op kind it computes.
        input_types: storage types it reads.
        weight_bits: width of a packed weight; 0 for a kernel without weights.
    """

    function: str
    kind: str
    input_types: tuple[str, ...]
    weight_bits: int = 0

    def runs(self, op: Op, inputs: Sequence[TensorType]) -> bool:
        """Whether this kernel computes `op` on inputs of these types."""
        bits = op.weight_bits if isinstance(op, WeightedOp) else 0
        return op.kind == self.kind and bits == self.weight_bits and all(t.dtype in self.input_types for t in inputs)


_ANY_TYPE = ("int8", "int16", "int32")

KERNELS = (
    Kernel("stq_convolve_b1_s8", "convolve", ("int8",), 1),
    Kernel("stq_convolve_t2_s8", "convolve", ("int8",), 2),
    Kernel("stq_convolve_s4_s8", "convolve", ("int8",), 4),
    Kernel("stq_convolve_s8_s8", "convolve", ("int8",), 8),
    Kernel("stq_convolve_s16_s8", "convolve", ("int8",), 16),
    Kernel("stq_convolve_b1_s16", "convolve", ("int16",), 1),
    Kernel("stq_convolve_t2_s16", "convolve", ("int16",), 2),
    Kernel("stq_convolve_s4_s16", "convolve", ("int16",), 4),
    Kernel("stq_convolve_s8_s16", "convolve", ("int16",), 8),
    Kernel("stq_convolve_s16_s16", "convolve", ("int16",), 16),
    Kernel("stq_depthwise_convolve_b1_s8", "depthwise_convolve", ("int8",), 1),
    Kernel("stq_depthwise_convolve_t2_s8", "depthwise_convolve", ("int8",), 2),
    Kernel("stq_depthwise_convolve_s4_s8", "depthwise_convolve", ("int8",), 4),
    Kernel("stq_depthwise_convolve_s8_s8", "depthwise_convolve", ("int8",), 8),
    Kernel("stq_depthwise_convolve_s16_s8", "depthwise_convolve", ("int8",), 16),
    Kernel("stq_depthwise_convolve_b1_s16", "depthwise_convolve", ("int16",), 1),
    Kernel("stq_depthwise_convolve_t2_s16", "depthwise_convolve", ("int16",), 2),
    Kernel("stq_depthwise_convolve_s4_s16", "depthwise_convolve", ("int16",), 4),
    Kernel("stq_depthwise_convolve_s8_s16", "depthwise_convolve", ("int16",), 8),
    Kernel("stq_depthwise_convolve_s16_s16", "depthwise_convolve", ("int16",), 16),
    Kernel("stq_dense_b1_s8", "dense", ("int8",), 1),
    Kernel("stq_dense_t2_s8", "dense", ("int8",), 2),
    Kernel("stq_dense_s4_s8", "dense", ("int8",), 4),
    Kernel("stq_dense_s8_s8", "dense", ("int8",), 8),
    Kernel("stq_dense_s16_s8", "dense", ("int8",), 16),
    Kernel("stq_dense_b1_s16", "dense", ("int16",), 1),
    Kernel("stq_dense_t2_s16", "dense", ("int16",), 2),
    Kernel("stq_dense_s4_s16", "dense", ("int16",), 4),
    Kernel("stq_dense_s8_s16", "dense", ("int16",), 8),
    Kernel("stq_dense_s16_s16", "dense", ("int16",), 16),
    Kernel("stq_max_pool_s8", "max_pool", ("int8",)),
    Kernel("stq_max_pool_s16", "max_pool", ("int16",)),
    Kernel("stq_max_pool_s32", "max_pool", ("int32",)),
    Kernel("stq_average_pool_s8", "average_pool", ("int8",)),
    Kernel("stq_average_pool_s16", "average_pool", ("int16",)),
    Kernel("stq_average_pool_s32", "average_pool", ("int32",)),
    Kernel("stq_table_s8", "table", ("int8",)),
    Kernel("stq_pair_table_s8", "pair_table", ("int8",)),
    Kernel("stq_curve", "curve", _ANY_TYPE),
    Kernel("stq_softmax", "softmax", _ANY_TYPE),
    Kernel("stq_rescale", "rescale", _ANY_TYPE),
    Kernel("stq_add", "add", _ANY_TYPE),
    Kernel("stq_maximum", "maximum", _ANY_TYPE),
    Kernel("stq_minimum", "minimum", _ANY_TYPE),
    Kernel("stq_multiply", "multiply", _ANY_TYPE),
    Kernel("stq_pad", "pad", _ANY_TYPE),
    Kernel("stq_crop", "crop", _ANY_TYPE),
    Kernel("stq_upsample", "upsample", _ANY_TYPE),
    Kernel("stq_concatenate", "concatenate", _ANY_TYPE),
)


def choose_kernel(op: Op, inputs: Sequence[TensorType]) -> str:
    """C name of the kernel that runs `op` on inputs of these types: the first row of `KERNELS` that can.

    Raises:
        StqError: there is none.
    """
    for kernel in KERNELS:
        if kernel.runs(op, inputs):
            return kernel.function
    weights = f" with {op.weight_bits}-bit weights" if isinstance(op, WeightedOp) else ""
    raise StqError(
        f"no kernel runs a {op.kind}{weights} on {' and '.join(t.dtype for t in inputs)}",
        where=f"layer {op.name!r}",
        cause="the kernel library lacks this combination of weights and activations",
        next="quantize the layer's input to 8 or 16 bits, or add a kernel (docs/DESIGN.md, `Adding things`)",
    )
