"""The operators that are read, by domain and name: the allow-list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stq_deploy.frontend.formats.onnx.reader import NodeReader
from stq_deploy.frontend.formats.onnx.values import OnnxValue
from stq_deploy.frontend.source import Node

OnnxHandler = Callable[[NodeReader], tuple[OnnxValue, ...]]
"""Reads one node and gives its outputs."""

ONNX = ""
QONNX = "qonnx.custom_op.general"
QONNX_DOMAINS = (QONNX, "onnx.brevitas", "finn.custom_op.general")
"""qonnx's own domain, Brevitas's before qonnx has cleaned its export up, and qonnx's former name."""


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        handler: reads it; its docstring states what is accepted, for docs/SUPPORT.md.
        becomes: the nodes that it may become.
        of_constants: whether it also takes constants alone, which it computes at import.
    """

    handler: OnnxHandler
    becomes: tuple[type[Node], ...]
    of_constants: bool


OPERATORS: dict[tuple[str, str], Operator] = {}


def register(
    *names: str, becomes: tuple[type[Node], ...] = (), domain: str = ONNX, of_constants: bool = False
) -> Callable[[OnnxHandler], OnnxHandler]:
    """Put a handler on the allow-list under these operators' names."""

    def add(handler: OnnxHandler) -> OnnxHandler:
        for name in names:
            OPERATORS[domain, name] = Operator(handler, becomes, of_constants)
        return handler

    return add


REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("recurrent layers are not supported", "use convolutions over time")),
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "QLinearAdd", "QLinearMul"),
        ("it is of the format QOperator", "export in the format QDQ: quantize_static(quant_format=QuantFormat.QDQ)"),
    ),
    "DynamicQuantizeLinear": ("it takes its scale from each input", "quantize statically, with calibration samples"),
    "ConvTranspose": ("transposed convolutions are not supported", "use Resize with mode nearest, then Conv"),
    **dict.fromkeys(("If", "Loop", "Scan"), ("it holds graphs of its own", "export the model without control flow")),
    **dict.fromkeys(
        ("Erf", "Log"),
        ("it has no integer form here", "use Gelu of operator set 20, Sigmoid, Tanh or Softplus"),
    ),
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN"),
        ("it takes its statistics from each input", "use BatchNormalization"),
    ),
    **dict.fromkeys(("RandomNormal", "RandomUniform"), ("it draws at random", "leave it out")),
    "LogSoftmax": ("it has no integer form here", "use Softmax, or end the model with the logits"),
    "FloatQuant": ("its levels are floating-point numbers", "use Quant with 2 to 8 bits"),
    "MultiThreshold": ("a model of FINN after streamlining", "give the QONNX model it was made from"),
}
"""Operators with a reason and the nearest way; any other unknown operator gets a general one."""
