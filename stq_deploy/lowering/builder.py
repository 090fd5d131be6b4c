"""The network under construction: tensors, ops, unique names, certificates."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from stq_deploy.lowering.expression import Levels
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Op, RequantizedOp


class NetworkBuilder:
    """Collects ops; every op writes a tensor of its own name.

    Attributes:
        certificates: op name -> certificate of its requantization or table.
        keras_outputs: name of an op, or of the input -> the Keras layer with the same output, up to float32's rounding.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, TensorType] = {}
        self.ops: list[Op] = []
        self.certificates: dict[str, dict[str, Any]] = {}
        self.keras_outputs: dict[str, str] = {}

    def input(self, name: str, type: TensorType, scale: Fraction, layer: str) -> Levels:
        """The input tensor; `layer` is the Keras layer whose output it is, or ""."""
        if layer:
            self.keras_outputs[name] = layer
        return self._tensor(name, type, (scale,))

    def unique(self, name: str) -> str:
        """`name`, followed by a number if it is taken."""
        candidate, count = name, 1
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def add(
        self,
        op: Op,
        output: TensorType,
        scale: tuple[Fraction, ...],
        layer: str = "",
        certificate: dict[str, Any] | None = None,
    ) -> Levels:
        """Append an op with a unique name; its output has the same name.

        Args:
            scale: of the output, exact; one entry, or one per channel.
            layer: the Keras layer whose output this is, or "".
        """
        if isinstance(op, RequantizedOp):  # the certificate's home is the network's metadata
            op = replace(op, requantize=replace(op.requantize, certificate={}))
        self.ops.append(op)
        if layer:
            self.keras_outputs[op.name] = layer
        if certificate is not None:
            self.certificates[op.name] = certificate
        return self._tensor(op.output, output, scale)

    def _tensor(self, name: str, type: TensorType, scale: tuple[Fraction, ...]) -> Levels:
        self.tensors[name] = type
        return Levels(name, type, scale)
