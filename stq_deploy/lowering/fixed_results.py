"""Results of layers rounded to the fixed-point types that are stated for them, as quantizers of the graph."""

from __future__ import annotations

from fractions import Fraction

from stq_deploy.frontend import source as s
from stq_deploy.frontend.fixed_types import MOST_BITS, FixedType, StatedTypes
from stq_deploy.frontend.quantizers import Quantizer, affine_quantizer, grid_quantizer
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.inserted_nodes import insert_nodes

_GRIDS = {"TRN_ZERO": "down", "RND_ZERO": "half_down", "RND_INF": "half_up", "RND_CONV": "half_even"}


def round_results(graph: s.SourceGraph, types: StatedTypes) -> s.SourceGraph:
    """The graph with a quantizer after the last node of each layer whose result has a type.

    A number outside the type's range saturates, also where hls4ml lets it wrap round.

    Raises:
        StqError: a type that no integer network rounds to.
    """
    last = {node.layer: n for n, node in enumerate(graph.nodes)}
    rounding = {
        last[layer]: _rounding(layer, stated.result)
        for layer, stated in types.layers.items()
        if stated.result is not None and layer in last
    }
    return insert_nodes(graph, rounding)[0]


def _rounding(layer: str, type_: FixedType) -> list[s.MakeNode]:
    """The nodes that round to a type, first to last."""
    low, high = type_.levels
    if type_.bits - type_.signed >= MOST_BITS or type_.saturation == "SAT_ZERO" or type_.rounding == "RND_MIN_INF":
        raise lowering_error(
            layer, f"its result has the type {type_}", "state a type of at most 16 bits with a sign, or of 15 without"
        )

    def quantize(quantizer: Quantizer) -> s.MakeNode:
        return lambda name, inputs, shape: s.QuantizeNode(name, inputs, shape, quantizer)

    if type_.rounding in _GRIDS:
        return [quantize(grid_quantizer(low, high, type_.step, _GRIDS[type_.rounding]))]
    nearest = quantize(affine_quantizer(low, high, type_.step))
    if type_.rounding == "RND":
        return [nearest]
    # Rounding down is rounding to the nearest, half up, of what is half a step less.
    less = (-type_.step / 2,)
    return [lambda name, inputs, shape: s.AffineNode(name, inputs, shape, (Fraction(1),), less), nearest]
