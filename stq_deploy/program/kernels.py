"""Which kernel runs an op: the list of all kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from stq_deploy.common.errors import StqError
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

_ELEMENT_NAMES = {"int8": "s8", "int16": "s16", "int32": "s32"}
"""Storage type -> the end of a C name."""
_WEIGHT_NAMES = {1: "b1", 2: "t2", 4: "s4", 8: "s8", 16: "s16"}
"""Width of a weight -> its part of a C name."""


def _kernels() -> Iterator[Kernel]:
    for kind, dtype, bits in product(("convolve", "depthwise_convolve", "dense"), ("int8", "int16"), _WEIGHT_NAMES):
        yield Kernel(f"stq_{kind}_{_WEIGHT_NAMES[bits]}_{_ELEMENT_NAMES[dtype]}", kind, (dtype,), bits)
    for kind, dtype in product(("max_pool", "average_pool"), _ANY_TYPE):
        yield Kernel(f"stq_{kind}_{_ELEMENT_NAMES[dtype]}", kind, (dtype,))
    for kind in ("table", "pair_table"):
        yield Kernel(f"stq_{kind}_s8", kind, ("int8",))
    for kind in (
        "curve", "softmax", "rescale", "add", "maximum", "minimum", "multiply", "pad", "crop", "upsample",
        "concatenate",
    ):  # fmt: skip
        yield Kernel(f"stq_{kind}", kind, _ANY_TYPE)


KERNELS = tuple(_kernels())
"""Every kernel of the library: widths of weights times types of levels, for the kinds that come in variants."""


def choose_kernel(op: Op, inputs: Sequence[TensorType]) -> str:
    """C name of the kernel that runs `op` on inputs of these types: the first of `KERNELS` that can.

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
