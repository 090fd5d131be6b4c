"""The errors of lowering: what has no integer form, in which layer, and what to put there instead."""

from __future__ import annotations

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import shown


def lowering_error(layer: str, what: str, next: str) -> StqError:
    """An error about a layer, whose name is untrusted text."""
    return StqError(what, where=f"layer {shown(layer)}", next=next)


def unquantized(reader: str, producer: str) -> StqError:
    """Layer `reader` needs levels, and `producer` gives none."""
    return lowering_error(
        reader,
        f"it reads the output of layer {shown(producer)} as it is, and it is not quantized",
        f"put a QActivation after {shown(producer)}: quantized_relu(8,3), or quantized_bits(8,3,1,alpha=1)",
    )
