"""One emitter per op kind: the constants, parameter structs and arguments of its kernel call."""

from stq_deploy.codegen.emitters import convolve, curve, dense, elementwise, movement, pooling, softmax, table
from stq_deploy.codegen.emitters.base import Constant, LayerCode, LayerContext, Struct, emit_layer

__all__ = [
    "Constant", "LayerCode", "LayerContext", "Struct", "convolve", "curve", "dense", "elementwise", "emit_layer",
    "movement", "pooling", "softmax", "table",
]  # fmt: skip
