"""The types that `hls_config` states for layers without quantizers, from hls4ml's graph."""

from __future__ import annotations

import warnings
from typing import Any

from stq_deploy.frontend.fixed_types import MOST_BITS, ROUNDINGS, SATURATIONS, FixedType, LayerTypes, StatedTypes

_KERNELS = ("weight", "depthwise", "pointwise")
_DEFAULT = FixedType(16, 6)


def stated_types(graph: Any) -> StatedTypes:
    """The types of weights, biases and results.

    A result's type counts where `hls_config` states it for the layer by name, and not for the whole model: without one
    a sum is exact, and what follows it has at least 15 bits.

    Args:
        graph: hls4ml's ModelGraph, as parsed.

    Warns:
        UserWarning: results that hls4ml would let wrap round saturate here, or have more bits than the board stores.
    """
    default = fixed_type(graph.config.model_precision.get("default", "fixed<16,6>"), graph) or _DEFAULT
    named = graph.config.config.get("HLSConfig", {}).get("LayerName", {})
    layers, wrapping, wide = {}, [], []
    for layer in graph.get_layers():
        kernels = [layer.weights[name].type.precision for name in _KERNELS if name in layer.weights]
        weights = tuple(fixed_type(kernel, graph) or default for kernel in kernels)
        bias = fixed_type(layer.weights["bias"].type.precision, graph) if "bias" in layer.weights else None
        result = None
        if kernels and _states_result(named.get(layer.name, {})):
            result = fixed_type(layer.get_output_variable().type.precision, graph)
        if result is not None and result.bits - result.signed >= MOST_BITS:
            wide.append(layer.name)
            result = None
        if result is not None and result.saturation == "WRAP":
            wrapping.append(layer.name)
        layers[layer.name] = LayerTypes(weights, bias, result)
    if wrapping:
        warnings.warn(f"results that leave their type's range saturate, where hls4ml wraps: {wrapping}", stacklevel=2)
    if wide:
        warnings.warn(f"results of more than 16 bits keep the network's own fixed point: {wide}", stacklevel=2)
    return StatedTypes(default, layers)


def fixed_type(precision: Any, graph: Any) -> FixedType | None:
    """A type of hls4ml's, given as an object or a text; None where it is open ("auto"), or not in fixed point."""
    if isinstance(precision, str):
        if precision == "auto":
            return None
        precision = graph.config.backend.convert_precision_string(precision)
    bits = int(getattr(precision, "width", 0) or 0)
    if not bits:
        return None
    rounding = str(getattr(precision, "rounding_mode", None) or "TRN").rpartition(".")[2]
    saturation = str(getattr(precision, "saturation_mode", None) or "WRAP").rpartition(".")[2]
    return FixedType(
        bits,
        int(getattr(precision, "integer", bits)),
        bool(getattr(precision, "signed", True)),
        rounding if rounding in ROUNDINGS else "TRN",
        saturation if saturation in SATURATIONS else "WRAP",
    )


def _states_result(layer: Any) -> bool:
    """Whether the configuration of a layer names its result's type."""
    precision = layer.get("Precision") if isinstance(layer, dict) else None
    result = precision.get("result") if isinstance(precision, dict) else precision
    return result is not None and result != "auto"
