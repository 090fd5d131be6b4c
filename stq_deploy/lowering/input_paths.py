"""The paths from the model's input to its readers: through layers that move values, and functions of one value.

A quantizer at the end of such a path defines the input's levels, however the values were moved and scaled before. For
every element of the input the walk records where its value goes, and through which channel's function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.frontend.errors import shown
from stq_deploy.lowering.functions import FUNCTIONS, is_rising
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Monotone, Stage, batch_norm, rises, run_stage, shifted
from stq_deploy.network.ops import Window

Integers = npt.NDArray[np.int64]

_ZERO = -1  # padding's zero, in place of an element's index
_NOTHING = -2
_MOVES = (s.PassNode, s.ReshapeNode, s.PadNode, s.CropNode, s.UpsampleNode, s.ConcatenateNode, s.MaxPoolNode)
STAGES: tuple[type[s.Node], ...] = (s.BatchNormNode, s.AffineNode, s.BiasNode, s.ClipNode, s.LeakyNode, s.FunctionNode)


class Blocked(Exception):
    """Why a layer's value is not a function of one value of the input."""


@dataclass(frozen=True, eq=False)
class ElementStage:
    """A stage with the channel whose function each element of the input goes through: int64 (elements,)."""

    stage: Stage
    channel: Integers

    def at(self, element: int) -> Stage:
        """The stage of one element, the same for all channels."""
        if isinstance(self.stage, Affine) and not self.stage.uniform:
            factor, offset = self.stage.at(int(self.channel[element]))
            return Affine((factor,), (offset,))
        return self.stage


@dataclass(frozen=True, eq=False)
class Way:
    """A node's values: elements of the input, moved, each after `stages`.

    Attributes:
        origin: int64 (*shape, candidates): which elements of the input, counted in C order, a value may come from:
            the largest of several after a pooling. `_ZERO` is padding, `_NOTHING` no further candidate.
        size: elements of the input.
        stages: the functions so far, first to last.
        ordered: whether the values are all of the input's, in their order.
    """

    origin: Integers
    size: int
    stages: tuple[ElementStage, ...] = ()
    ordered: bool = True

    @property
    def padded(self) -> bool:
        """Whether padding's zeros are among the values."""
        return bool((self.origin == _ZERO).any())


@dataclass(frozen=True, eq=False)
class Ways:
    """The paths of the input's values to their first readers.

    Attributes:
        ends: quantizer's node -> the path to it.
        walked: the nodes on the paths, moves and stages.
        raw: for each layer that reads unquantized values, the reason; in the order they run.
    """

    ends: dict[int, Way]
    walked: frozenset[int]
    raw: tuple[tuple[str, str], ...]


def find_ways(source: s.SourceGraph, live: Sequence[int], outputs: Sequence[int]) -> Ways:
    """Follow the input's values.

    Args:
        live: the nodes that the outputs depend on.
        outputs: nodes whose values the model returns.
    """
    shape = source.nodes[0].shape
    size = int(np.prod(shape))
    ways = {0: Way(np.arange(size).reshape(*shape, 1), size)}
    ends: dict[int, Way] = {}
    raw: list[tuple[str, str]] = []
    for n in sorted(live):
        node = source.nodes[n]
        known = [ways[m] for m in node.inputs if m in ways]
        if not known:
            continue
        if isinstance(node, s.QuantizeNode):
            ends[n] = known[0]
            continue
        try:
            if len(known) < len(node.inputs):
                raise Blocked("joins it with other values")
            ways[n] = _through(source, n, node, known)
        except Blocked as reason:
            raw.append((node.layer, str(reason)))
    # A network whose output is its input would compute nothing, so the values before the quantizer are its input.
    raw += [(source.nodes[n].layer, "returns it") for n in outputs if n in ways or n in ends]
    return Ways(ends, frozenset(ways) - {0}, tuple(raw))


def _through(source: s.SourceGraph, n: int, node: s.Node, known: list[Way]) -> Way:
    if isinstance(node, s.PassNode):
        return known[0]
    if isinstance(node, s.ConcatenateNode):
        return _joined(node, known)
    if isinstance(node, _MOVES):
        return _moved(node, known[0])
    if isinstance(node, STAGES):
        way, stage = known[0], _stage(source, n, node)
        return replace(way, stages=(*way.stages, _applied(way, stage, node)))
    raise Blocked("reads it as it is")


def _joined(node: s.ConcatenateNode, known: list[Way]) -> Way:
    first = known[0].stages
    if any(way.stages != first for way in known):
        raise Blocked("joins values that went through different functions")
    most = max(way.origin.shape[-1] for way in known)
    parts = [_filled(way.origin, most) for way in known]
    return Way(np.concatenate(parts, axis=node.axis), known[0].size, first, ordered=False)


def _filled(origin: Integers, candidates: int) -> Integers:
    missing = ((0, 0),) * (origin.ndim - 1) + ((0, candidates - origin.shape[-1]),)
    return np.pad(origin, missing, constant_values=_NOTHING)


def _moved(node: s.Node, way: Way) -> Way:
    """A path after a movement."""
    origin = way.origin
    if isinstance(node, s.ReshapeNode):
        return replace(way, origin=origin.reshape(*node.shape, origin.shape[-1]))
    if isinstance(node, s.PadNode):
        sides = (*zip(node.before, node.after, strict=True), (0, 0), (0, 0))
        moved = np.pad(origin, sides, constant_values=_NOTHING)
        # One candidate is the zero; a value of padding has no others.
        inside = np.pad(np.zeros(origin.shape[:2], np.bool_), sides[:2], constant_values=True)
        moved[inside, :, 0] = _ZERO
    elif isinstance(node, s.CropNode):
        (top, left), (height, width) = node.before, node.shape[:2]
        moved = origin[top : top + height, left : left + width]
    elif isinstance(node, s.UpsampleNode):
        moved = origin.repeat(node.size[0], axis=0).repeat(node.size[1], axis=1)
    else:
        assert isinstance(node, s.MaxPoolNode)
        moved = _pooled(origin, node.window)
    return replace(way, origin=moved, ordered=False)


def _pooled(origin: Integers, window: Window) -> Integers:
    """The candidates under each window, one after the other."""
    (top, left), (bottom, right) = window.pad_before, window.pad_after
    rows, columns = window.output_size(*origin.shape[:2])
    padded = np.pad(origin, ((top, bottom), (left, right), (0, 0), (0, 0)), constant_values=_NOTHING)
    taps = []
    for i in range(window.size[0]):
        for j in range(window.size[1]):
            y, x = i * window.dilation[0], j * window.dilation[1]
            reach = slice(y, y + (rows - 1) * window.stride[0] + 1), slice(x, x + (columns - 1) * window.stride[1] + 1)
            taps.append(padded[reach][:: window.stride[0], :: window.stride[1]])
    return np.concatenate(taps, axis=-1)


def _stage(source: s.SourceGraph, n: int, node: s.Node) -> Stage:
    if isinstance(node, s.BatchNormNode):
        return batch_norm(node.gamma, node.beta, node.mean, node.variance, node.epsilon)
    if isinstance(node, s.BiasNode):
        return shifted(source.biases[n])
    if isinstance(node, s.AffineNode):
        return Affine(node.factor, node.offset)
    if isinstance(node, s.ClipNode):
        return Clip(node.low, node.high)
    if isinstance(node, s.LeakyNode):
        return Leaky(node.slope)
    assert isinstance(node, s.FunctionNode)
    if not is_rising(node.function):
        raise Blocked(f"applies {node.function} to it, which falls and rises")
    return Monotone(node.function, node.parameters)


def _applied(way: Way, stage: Stage, node: s.Node) -> ElementStage:
    origin = way.origin
    if origin.shape[-1] > 1 and not rises(stage):
        raise Blocked("turns the order round that a pooling by maximum went by")
    if way.padded and not _keeps_zero(stage):
        raise Blocked("makes another number of the zeros that were padded before it")
    element = origin >= 0
    channels = np.broadcast_to(np.arange(node.shape[-1])[:, None], origin.shape)[element]
    elements = origin[element]
    channel = np.full(way.size, -1, np.int64)
    channel[elements] = channels
    unlike = np.flatnonzero(channel[elements] != channels)
    pairs = {(int(channel[elements[i]]), int(channels[i])) for i in unlike}
    if isinstance(stage, Affine) and any(stage.at(a) != stage.at(b) for a, b in pairs):
        raise Blocked("treats the same value in two ways, in two channels")
    return ElementStage(stage, channel)


def _keeps_zero(stage: Stage) -> bool:
    if isinstance(stage, Monotone):
        return FUNCTIONS[stage.function].keeps_zero
    channels = len(stage.factor) if isinstance(stage, Affine) else 1
    return all(run_stage(stage, c, Fraction(0)) == 0 for c in range(channels))


def describe_raw(raw: Sequence[tuple[str, str]]) -> str:
    """The first layer that reads the input unquantized, and the reason."""
    layer, reason = raw[0]
    return f"layer {shown(layer)} {reason}"
