"""The quantization schemes of the paper's Table III, one row each, in QKeras' syntax.

A row states how each kind of kernel and activation is quantized; None leaves it in floating point. The bits of the
dense layers follow from the paper's flash column. With KB = 1024 the ternary and STQ rows are exact if convolutions
have 2 bits and fc1, fc2 have 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from stq_deploy.common.errors import no_such

# The gate's text uses a keyword, because qkeras prints quantized_sigmoid(4, use_real_sigmoid=True) as
# "quantized_sigmoid(4,1)", which would read back as symmetric=1.
_GATE_4 = "quantized_sigmoid(4,use_real_sigmoid=True)"
_SIGMOID_8 = "quantized_sigmoid(8,use_real_sigmoid=True)"
FEATURE_INPUT = "quantized_bits(8,7,1,alpha=1)"
"""The input quantizer where samples are features: integers from -128 to 127. MFCC range from about -124 to 34."""

_BITS_4 = "quantized_bits(4,0,1,alpha='auto_po2')"

KERNELS: dict[int | str, str] = {
    1: "binary(alpha='auto_po2')",
    2: "quantized_bits(2,0,1,alpha='auto_po2')",
    4: _BITS_4,
    8: "quantized_bits(8,0,1,alpha='auto_po2')",
    "ternary": "ternary(alpha='auto')",
}
"""Quantizer of a single layer's kernel by its bits, as the schemes of one width have it."""


_NO_ROLES = ("name", "title", "weights", "activations")
_FIRST_NUMBER = re.compile(r"\(\d+")


@dataclass(frozen=True)
class Scheme:
    """One row: quantizer texts (QKeras syntax) by role, or None for floating point; and the layers that differ.

    Attributes:
        weights: layer -> key of `KERNELS`, for kernels that do not follow their role.
        activations: layer -> bits of its activation, which keeps the range of its role.
    """

    name: str
    title: str
    first: str | None = None  # the first convolution
    conv: str | None = None
    depthwise: str | None = None
    dense: str | None = None
    input: str | None = "quantized_relu(8,0)"
    relu: str | None = "quantized_relu(4,2)"
    gate: str | None = _GATE_4
    relu_dense: str | None = "quantized_relu(8,5)"  # fc1 has no batch norm: its outputs reach 30
    pre_sigmoid: str | None = "quantized_bits(8,3,1,alpha=1)"
    sigmoid: str | None = _SIGMOID_8
    branch: str | None = "quantized_bits(8,3,1,alpha=1)"  # a summand of a residual sum without a preceding ReLU
    weights: tuple[tuple[str, int | str], ...] = ()
    activations: tuple[tuple[str, int], ...] = ()

    @property
    def quantized(self) -> bool:
        """Whether anything is quantized."""
        return self.conv is not None

    @property
    def for_features(self) -> Scheme:
        """The same with `FEATURE_INPUT`, if anything is quantized, for samples that are not pixels in [0, 1]."""
        return replace(self, input=FEATURE_INPUT) if self.quantized else self

    @property
    def quantizers(self) -> dict[str, str | None]:
        """Role, then each layer with bits of its own -> quantizer text; empty where nothing is quantized."""
        texts = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NO_ROLES}
        texts |= {f"kernel of {layer}": KERNELS[bits] for layer, bits in self.weights}
        texts |= {f"activation of {layer}": f"{bits} bits" for layer, bits in self.activations}
        return texts if self.quantized else {}

    def kernel(self, layer: str, text: str | None) -> str | None:
        """Quantizer of the kernel of `layer`, whose role has `text`."""
        return KERNELS[dict(self.weights)[layer]] if layer in dict(self.weights) else text

    def activation(self, layer: str, text: str | None) -> str | None:
        """Quantizer of the activation `layer`, whose role has `text`: with other bits, over the same range."""
        bits = dict(self.activations).get(layer)
        return text if text is None or bits is None else _FIRST_NUMBER.sub(f"({bits}", text, count=1)

    @property
    def identifier(self) -> str:
        """The name as part of a model's."""
        return re.sub(r"\W", "_", self.name, flags=re.ASCII)

    @property
    def stochastic(self) -> bool:
        """Whether training draws its kernels at random."""
        return "stochastic" in (self.conv or "")

    @property
    def temperature(self) -> float:
        """qkeras' default temperature of the scheme's stochastic quantizer."""
        return 6.0 if "binary" in (self.conv or "") else 8.0


def _uniform(name: str, title: str, kernel: str, first: str | None = None, **activations: Any) -> Scheme:
    """A scheme with one kernel quantizer everywhere, or another for the first convolution."""
    return Scheme(name, title, first=first or kernel, conv=kernel, depthwise=kernel, dense=kernel, **activations)


def _ternary(name: str, title: str, kernel: str) -> Scheme:
    """Ternary convolutions with 4-bit dense layers.

    The scale is not 'auto_po2': rounded to powers of two, it gets stuck where too many weights are 0
    (docs/experiments/2026-11-stq.md). Any scale per channel goes into its requantization at no cost.
    """
    return Scheme(name, title, first=_BITS_4, conv=kernel, depthwise=kernel, dense=_BITS_4)


_ALL = (
    Scheme("fp", "FP", input=None, relu=None, gate=None, relu_dense=None, pre_sigmoid=None, sigmoid=None, branch=None),
    _uniform("8bit", "8-bit", "quantized_bits(8,0,1,alpha='auto_po2')", relu="quantized_relu(8,3)", gate=_SIGMOID_8),
    _uniform("4bit", "4-bit", _BITS_4),
    _ternary("ternary", "Ternary", "ternary(alpha='auto')"),
    _ternary("stq", "STQ", "stochastic_ternary(alpha='auto')"),
    _uniform("2bit", "2-bit", "quantized_bits(2,0,1,alpha='auto_po2')", _BITS_4),
    _uniform("binary", "Binary", "binary(alpha='auto_po2')", _BITS_4),
    _uniform("s-binary", "S-Binary", "stochastic_binary(alpha='auto_po2')", _BITS_4),
)
SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in _ALL}


def get_scheme(name: str | Scheme) -> Scheme:
    """The scheme of that name. Raises StqError that lists the existing ones."""
    if isinstance(name, Scheme):
        return name
    try:
        return SCHEMES[name]
    except KeyError:
        raise no_such(f"unknown quantization scheme {name!r}", name, SCHEMES) from None
