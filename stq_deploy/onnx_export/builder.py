"""Collects the nodes and constants of an ONNX graph, with the arithmetic of integers that ONNX lacks.

Levels and accumulators are int64 here, so that no product overflows where the network's own forms do not. ONNX shifts
unsigned integers only, and its quotients of negative numbers are not defined alike everywhere. So a shift to the right
is `(v - v mod 2**n) / 2**n`, whose division has no remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

QONNX_DOMAIN = "qonnx.custom_op.general"


class GraphBuilder:
    """The nodes and constants so far.

    Attributes:
        with_quant: whether weights pass through QONNX's quantizers, which state their bits.
    """

    def __init__(self, with_quant: bool) -> None:
        self.with_quant = with_quant
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names: set[str] = set()
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._prefix = ""

    def begin(self, layer: str) -> None:
        """Name the nodes from now on after this layer of the network."""
        self._prefix = layer

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """A constant's name; equal constants are stored once."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = self._unique(f"{self._prefix}/constant")
            self.constants.append(numpy_helper.from_array(array, name))
            self._known[key] = name
        return self._known[key]

    def add(
        self, op: str, inputs: Sequence[str], output: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node; the name of its only output."""
        from onnx import helper

        name = self._unique(f"{self._prefix}/{op.lower()}")
        result = self._unique(output) if output is not None else f"{name}/value"
        self.nodes.append(helper.make_node(op, list(inputs), [result], name, domain=domain, **attributes))
        return result

    def cast(self, value: str, dtype: npt.DTypeLike, output: str | None = None) -> str:
        from onnx import helper

        return self.add("Cast", [value], output, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def sum(self, left: str, right: npt.ArrayLike) -> str:
        """`left` plus constants; `left` itself where all are 0."""
        array = np.asarray(right, np.int64)
        return left if (array == 0).all() else self.add("Add", [left, self.constant(array)])

    def times(self, left: str, right: npt.ArrayLike) -> str:
        """`left` times constants; `left` itself where all are 1."""
        array = np.asarray(right, np.int64)
        return left if (array == 1).all() else self.add("Mul", [left, self.constant(array)])

    def shift_right(self, value: str, bits: npt.ArrayLike) -> str:
        """`value >> bits`, towards minus infinity; bits 0 to 62."""
        exponents = np.asarray(bits, np.int64)
        if (exponents == 0).all():
            return value
        powers = self.constant(np.int64(1) << exponents)
        rest = self.add("Mod", [value, powers])
        return self.add("Div", [self.add("Sub", [value, rest]), powers])

    def clip(self, value: str, low: int, high: int) -> str:
        return self.add("Clip", [value, self.constant(low), self.constant(high)])

    def transpose(self, value: str, order: Sequence[int], output: str | None = None) -> str:
        return self.add("Transpose", [value], output, perm=list(order))

    def reshape(self, value: str, shape: Sequence[int], output: str | None = None) -> str:
        """`value` in another shape; the batch axis is -1."""
        return self.add("Reshape", [value, self.constant(list(shape))], output)

    def weights(self, integers: npt.NDArray[np.integer[Any]], bits: int) -> str:
        """Integer weights as float32, through QONNX's quantizer of so many bits where asked."""
        name = self.constant(integers, np.float32)
        if not self.with_quant:
            return name
        one, zero = self.constant(1.0, np.float32), self.constant(0.0, np.float32)
        if bits == 1 and (np.abs(integers) == 1).all():
            return self.add("BipolarQuant", [name, one], domain=QONNX_DOMAIN)
        signed = int(integers.min()) < 0 or bits > 1
        width = self.constant(float(bits), np.float32)
        return self.add(
            "Quant", [name, one, zero, width], domain=QONNX_DOMAIN, signed=int(signed), narrow=0, rounding_mode="ROUND"
        )

    def _unique(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free
