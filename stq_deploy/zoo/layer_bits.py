"""Whether the bits that a scheme gives to single layers have arrived in a network."""

from __future__ import annotations

from typing import Any

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.zoo.schemes import KERNELS, Scheme

_KERNEL_QUANTIZERS = ("kernel_quantizer", "depthwise_quantizer", "pointwise_quantizer")


def check_layer_bits(model: Any, scheme: Scheme) -> None:
    """Compare `scheme.weights` and `scheme.activations` with a tf_keras Model built by that scheme.

    Raises:
        StqError: a layer named there does not exist, is of another kind, or has other bits.
    """
    kernels = {layer.name: layer for layer in model.layers if _kernel_quantizers(layer)}
    activations = {layer.name: layer for layer in model.layers if type(layer).__name__ == "QActivation"}
    for name, bits in scheme.weights:
        if name not in kernels:
            raise no_such(f"[weights] names {name!r}, no layer with a quantized kernel", name, kernels)
        wanted = {1: 1, "ternary": 2}.get(bits, bits)
        if any(_bits(quantizer) != wanted for quantizer in _kernel_quantizers(kernels[name])):
            raise _not_taken(name, f"weights of {KERNELS[bits]}")
    for name, bits in scheme.activations:
        if name not in activations:
            raise no_such(f"[activations] names {name!r}, no layer that quantizes activations", name, activations)
        if _bits(activations[name].quantizer) != bits:
            raise _not_taken(name, f"activations of {bits} bits")


def _kernel_quantizers(layer: Any) -> list[Any]:
    found = (getattr(layer, name, None) for name in _KERNEL_QUANTIZERS)
    return [quantizer for quantizer in found if quantizer is not None]


def _bits(quantizer: Any) -> int | None:
    bits = getattr(quantizer, "bits", None)
    return None if bits is None else int(bits)


def _not_taken(layer: str, wanted: str) -> StqError:
    return StqError(
        f"layer {layer!r} should have {wanted}, and the network gives it another quantizer",
        cause="the network's code chooses this quantizer itself, and not by SchemeLayers",
        next="build the layer by SchemeLayers (stq_deploy/zoo/user_network.py), or leave it out of the scheme",
    )
