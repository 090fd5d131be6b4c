"""Post-training quantization: inserts quantizers into a graph where integers are needed, with ranges seen on samples.

`lower` then treats them like QKeras's own quantizers and certifies the result. The integer network exactly equals the
graph that this pass returns, a fake-quantized network. Only a measured accuracy shows how far that is from the float
model.

A tensor becomes levels where a convolution, a sum, a pool or the like reads it. A chain of bias, batch norm and
clipping stays one exact function from accumulator to level. A value that branches off becomes levels once for all
readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import source as s
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.float_graph import node_weights, run_graph
from stq_deploy.lowering.input_levels import find_input_levels, unknown_input
from stq_deploy.lowering.inserted_nodes import insert_nodes
from stq_deploy.lowering.ranges import METHODS, Range, coarse_grid
from stq_deploy.lowering.structure import find_ending, find_live

Reals = npt.NDArray[np.float32]

BATCH = 32
_STORED_BITS = 8
_LEVELS = 256

_SUMS = (s.ConvolveNode, s.DepthwiseNode, s.DenseNode, s.AveragePoolNode, s.CombineNode)
_MOVES = (s.MaxPoolNode, s.PadNode, s.CropNode, s.UpsampleNode, s.ConcatenateNode, s.ReshapeNode)
_CURVES = (
    s.FunctionNode,
    s.LeakyNode,
    s.SoftmaxNode,
)  # a table of 256 levels is smaller than thresholds for every channel
_READ_LEVELS = (*_SUMS, *_MOVES, *_CURVES)
_UNIT = Range(0.0, 255 / 256)
_FUNCTION_RANGES = {"sigmoid": _UNIT, "tanh": Range(-1.0, 127 / 128)}


@dataclass(frozen=True)
class Places:
    """Where quantizers are missing.

    Attributes:
        nodes: positions, in order, after which one is inserted; all readers of the node then read the quantizer.
        groups: position -> the first of the positions that must have one quantizer, as they are concatenated.
    """

    nodes: tuple[int, ...]
    groups: dict[int, int]


def find_places(source: s.SourceGraph) -> Places:
    """Positions where `lower` needs levels and no quantizer makes them."""
    walk = _QuantizerWalk(source)
    nodes = tuple(n for n in sorted(walk.live) if walk.is_missing(n))
    groups = {n: n for n in nodes}
    for n in sorted(walk.live):
        if isinstance(source.nodes[n], s.ConcatenateNode):
            joined = {groups[origin] for origin in walk.origins(n) if origin in groups}
            groups |= {m: min(joined) for m, group in groups.items() if group in joined}
    return Places(nodes, groups)


@np.errstate(over="ignore", invalid="ignore")  # an overflow is an error that names the layer
def observe(source: s.SourceGraph, places: Sequence[int], x: Reals, method: str) -> dict[int, Range]:
    """The range to quantize after each of `places`, from the values there for inputs x (N, *input shape).

    Args:
        method: one of `METHODS`.

    Raises:
        StqError: a value overflows float32.
    """
    nodes = sorted(find_live(source, tuple(places)))
    wanted = set(places)

    def batches() -> Iterator[tuple[int, Reals]]:
        for start in range(0, len(x), BATCH):
            yield from (found for found in run_graph(source, x[start : start + BATCH], nodes) if found[0] in wanted)

    seen: dict[int, Range] = {}
    for n, values in batches():
        if not np.isfinite(values).all():
            raise StqError(
                "its output overflows on the calibration samples",
                where=f"layer {shown(source.nodes[n].layer)}",
                next="check the samples' range (--input-range), or the training",
            )
        seen[n] = seen[n].union(Range.of(values)) if n in seen else Range.of(values)
    counts: dict[int, Any] = dict.fromkeys(places, 0)
    if method != "minmax":
        for n, values in batches():
            counts[n] += seen[n].histogram(values)
    return {n: METHODS[method](seen[n], counts[n]) for n in places}


def quantize_graph(source: s.SourceGraph, x: Reals, method: str, grid: Quantizer | None) -> s.SourceGraph:
    """The graph with a quantizer wherever `lower` needs one; arguments and errors as for `find_quantizers`."""
    return insert_quantizers(source, find_quantizers(source, x, method, grid))


def check_samples(source: s.SourceGraph, x: Reals) -> None:
    """Raises StqError if calibration samples (N, *shape) do not fit the model's input."""
    if x.shape[1:] != source.nodes[0].shape:
        raise StqError(
            f"the calibration samples have shape {x.shape[1:]}, the model takes {source.nodes[0].shape}",
            next="calibrate with samples like those that the model was trained on",
        )


def find_quantizers(source: s.SourceGraph, x: Reals, method: str, grid: Quantizer | None) -> dict[int, Quantizer]:
    """Position -> the quantizer that `lower` needs after this node.

    Args:
        x: calibration samples, float32 (N, *input shape), as the model sees them.
        method: one of `METHODS`.
        grid: the input's levels, where no quantizer of the model defines them (`find_input_levels`).

    Raises:
        UnknownInputError: there is no such quantizer, and no grid.
        StqError: the samples do not fit the model.
    """
    check_samples(source, x)
    places = find_places(source)
    if 0 in places.nodes and grid is None:
        raise unknown_input(source.nodes[0].layer, "a layer reads it as it is")
    known = {n: span for n in places.nodes if (span := _known_range(source.nodes[n], grid)) is not None}
    unknown = [n for n in places.nodes if n not in known]
    ranges = known | (observe(source, unknown, x, method) if unknown else {})
    quantizers: dict[int, Quantizer] = {}
    for n in places.nodes:
        members = [m for m in places.nodes if places.groups[m] == places.groups[n]]
        span = Range(min(ranges[m].low for m in members), max(ranges[m].high for m in members))
        quantizers[n] = grid if n == 0 and grid is not None and _is_own(grid, members) else coarse_grid(span)
    return quantizers


def _is_own(grid: Quantizer, members: list[int]) -> bool:
    """Whether the input keeps its grid although it is concatenated with others: it does with more than 256 levels."""
    return len(members) == 1 or grid.integer("high") - grid.integer("low") >= _LEVELS


def insert_quantizers(source: s.SourceGraph, quantizers: dict[int, Quantizer]) -> s.SourceGraph:
    """The graph with a QuantizeNode after each of these positions; the node's readers read that instead."""
    makers = {n: (partial(s.QuantizeNode, quantizer=quantizer),) for n, quantizer in quantizers.items()}
    return insert_nodes(source, makers)[0]


def with_stored_floats(source: s.SourceGraph) -> s.SourceGraph:
    """The graph in which 8-bit weights that multiply floating-point values count as floating-point weights.

    There the file stores integers only to be smaller: TensorFlow Lite's dynamic-range quantization.
    """
    walk = _QuantizerWalk(source)
    places = {n for n in walk.live if walk.is_missing(n)}
    stored = {
        n: _real_weights(source, n)
        for n, kernel in source.kernels.items()
        if n in walk.live and n not in source.floats and kernel.bits == _STORED_BITS
        and places.issuperset(walk.origins(source.nodes[n].inputs[0]))
    }  # fmt: skip
    return replace(source, floats=source.floats | stored)


def _real_weights(source: s.SourceGraph, n: int) -> s.FloatArray:
    return node_weights(source, n, np.float32).astype(np.float32)


def quantizes_input(source: s.SourceGraph) -> bool:
    """Whether quantizers of the model define the levels of its input."""
    outputs = tuple(find_ending(source, n).logits for n in source.outputs)
    return not isinstance(find_input_levels(source, sorted(find_live(source, outputs)), outputs), str)


def _known_range(node: s.Node, grid: Quantizer | None) -> Range | None:
    """The range of a node's values that needs no samples."""
    if isinstance(node, s.InputNode) and grid is not None:
        scale = float(Fraction(str(grid.parameters["scale"])))
        return Range(grid.integer("low") * scale, grid.integer("high") * scale)
    if isinstance(node, s.SoftmaxNode):
        return _UNIT
    return _FUNCTION_RANGES.get(node.function) if isinstance(node, s.FunctionNode) else None


def _live(source: s.SourceGraph) -> set[int]:
    """The nodes that the logits depend on."""
    return find_live(source, tuple(find_ending(source, n).logits for n in source.outputs))


class _QuantizerWalk:
    """Questions about one graph."""

    def __init__(self, source: s.SourceGraph) -> None:
        self.nodes = source.nodes
        self.live = _live(source)
        self.input_is_quantized = quantizes_input(source)
        self.readers: dict[int, list[s.Node]] = {n: [] for n in self.live}
        for m in self.live:
            if not self.is_transparent(m):
                for n in {self.origin(read) for read in self.nodes[m].inputs}:
                    self.readers[n].append(self.nodes[m])

    def is_transparent(self, n: int) -> bool:
        """Whether a node passes its input on unchanged: Dropout, and a view that keeps the channels."""
        node = self.nodes[n]
        views = isinstance(node, s.ReshapeNode) and node.shape[-1] == self.nodes[node.inputs[0]].shape[-1]
        return views or isinstance(node, s.PassNode)

    def origin(self, n: int) -> int:
        """The node whose value node n passes on: usually itself."""
        while self.is_transparent(n):
            n = self.nodes[n].inputs[0]
        return n

    def origins(self, n: int) -> list[int]:
        """The nodes whose levels node n moves: itself, if it computes values."""
        if self.is_transparent(n) or isinstance(self.nodes[n], _MOVES):
            return [origin for m in self.nodes[n].inputs for origin in self.origins(m)]
        return [n]

    def is_missing(self, n: int) -> bool:
        """Whether node n's output must be levels and is not."""
        node = self.nodes[n]
        if isinstance(node, s.InputNode):
            return not self.input_is_quantized
        if self.is_transparent(n) or isinstance(node, (*s.LEVELS, *_MOVES)):
            return False
        readers = self.readers[n]
        if all(isinstance(reader, s.LEVELS) for reader in readers):
            return bool(readers == [] and isinstance(node, _CURVES))
        return len(readers) > 1 or isinstance(node, _CURVES) or isinstance(readers[0], _READ_LEVELS)
