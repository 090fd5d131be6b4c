"""Steps of activations that several formats have."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from stq_deploy.frontend.quantizers import make_quantizer
from stq_deploy.frontend.source import AffineNode, MakeNode, QuantizeNode

_HALF = Fraction(1, 2)
ABOVE_ZERO: tuple[MakeNode, ...] = (
    partial(AffineNode, factor=(_HALF,), offset=(_HALF,)),
    partial(QuantizeNode, quantizer=make_quantizer("quantized_relu", bits=1, integer=1)),
)
"""1 above zero, and 0 at zero and below: QKeras rounds its hard sigmoid, half to even."""
