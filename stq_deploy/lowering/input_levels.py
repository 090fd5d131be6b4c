"""The input's levels, and how a value becomes one, as defined by the first quantizers that the model's input meets.

A leading batch normalization, or any other function of single values, is part of that. The host computes it, exactly
or in float64, and the network begins after the quantizer. Where several quantizers read the input, its levels number
the intervals between all their thresholds, so that each quantizer's level is a function of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import source as s
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.epilogue import Condition, Epilogue
from stq_deploy.lowering.even_steps import even_steps
from stq_deploy.lowering.input_paths import ElementStage, Way, describe_raw, find_ways
from stq_deploy.lowering.stages import Affine, Clip, Stage, chain
from stq_deploy.lowering.step_function import StepFunction, is_linear, step_function
from stq_deploy.network import TensorType
from stq_deploy.network.input_format import InputRounding, LinearRounding, ThresholdRounding

Reals = npt.NDArray[np.float64]

MAXIMUM_THRESHOLDS = 1 << 20
_INT8 = 256
_LARGEST_INTERVALS = 1 << 16


class UnknownInputError(StqError):
    """Nothing states the values of the model's input."""


@dataclass(frozen=True)
class LevelMap:
    """A quantizer's stored level for each interval of a joint input, from the lowest interval on."""

    steps: StepFunction
    levels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class QuantizedInput:
    """The input's tensor, and the part of the graph that it replaces.

    Attributes:
        type: type of the tensor.
        step: real value of one level, exact.
        rounding: see `Network.input_rounding`.
        walked: nodes between the input and its quantizers.
        quantizers: the nodes that define the levels: node -> its levels, or None where they are the input's own.
        layer: the Keras layer whose output the tensor is, or "".
    """

    type: TensorType
    step: Fraction
    rounding: InputRounding | None
    walked: frozenset[int]
    quantizers: dict[int, LevelMap | None]
    layer: str


_FOUND: WeakKeyDictionary[s.SourceGraph, tuple[tuple[tuple[int, ...], ...], QuantizedInput | str]] = WeakKeyDictionary()
"""The last answer about a graph: several steps ask, and it may hold a million thresholds."""


def find_input_levels(source: s.SourceGraph, live: Sequence[int], outputs: Sequence[int]) -> QuantizedInput | str:
    """The input's levels; or, where a layer reads its values unquantized, that layer and the reason.

    Args:
        live: the nodes that the outputs depend on.
        outputs: nodes whose values the model returns.
    """
    key = (tuple(live), tuple(outputs))
    if source not in _FOUND or _FOUND[source][0] != key:
        _FOUND[source] = (key, _input_levels(source, live, outputs))
    return _FOUND[source][1]


def _input_levels(source: s.SourceGraph, live: Sequence[int], outputs: Sequence[int]) -> QuantizedInput | str:
    ways = find_ways(source, live, outputs)
    if ways.raw:
        return describe_raw(ways.raw)
    shape = source.nodes[0].shape
    ends = {n: _End(source.nodes[n], way, shape) for n, way in ways.ends.items()}
    try:
        for end in ends.values():
            end.check()
        first, *others = ends.values()
        if all(end.same(first) for end in others) and first.pads(ways.ends.values()):
            layer = first.layer if all(way.ordered for way in ways.ends.values()) else ""
            return QuantizedInput(first.type, first.steps.step, first.rounding, ways.walked, dict.fromkeys(ends), layer)
        return _joined(shape, ends, ways.walked)
    except ValueError as reason:
        return str(reason)


def unknown_input(layer: str, reason: str) -> UnknownInputError:
    """The error for a model whose input's values are not stated."""
    return UnknownInputError(
        f"the range of the input's values is not known: {reason}",
        where=f"input {shown(layer)}",
        cause="no quantizer of the model says which values its input has",
        next="say it in one of three ways: --calibrate SAMPLES.npz, a sample file that states its range; "
        "--input-range LOW HIGH, the smallest and largest value; or a quantizer behind the model's input, such as "
        "QActivation('quantized_bits(8,3,1)')",
    )


class _End:
    """A quantizer as a function of the input's single values."""

    def __init__(self, node: s.Node, way: Way, shape: tuple[int, ...]) -> None:
        assert isinstance(node, s.QuantizeNode)
        self.layer = node.layer
        self.quantizer: Quantizer = node.quantizer
        self.steps = step_function(node.quantizer)
        self.stages = _simplified(way.stages)
        self.shape = shape
        self.rows = [tuple(chain(*(stage.at(i) for stage in self.stages))) for i in _row_elements(self.stages, shape)]
        self._rounding: InputRounding | None = None

    def check(self) -> None:
        """Raises ValueError where its levels cannot be stored."""
        _ = self.steps.dtype, self.rounding

    @property
    def type(self) -> TensorType:
        steps = self.steps
        zero = steps.zero_point
        levels = steps.minimum + zero, steps.maximum + zero
        if isinstance(self._linear, tuple):
            levels = self._linear[1] + zero, self._linear[2] + zero
        return TensorType(self.shape, steps.dtype, *levels, scale=float(steps.step), zero_point=zero)

    @property
    def rounding(self) -> InputRounding | None:
        if self._is_plain:
            return None
        if self._rounding is None:
            linear = self._linear
            self._rounding = self.thresholds() if linear is None else linear[0]
        return self._rounding

    @property
    def _is_plain(self) -> bool:
        return self.rows == [()] and is_linear(self.quantizer) and self.steps.step == self.steps.spacing

    @property
    def _linear(self) -> tuple[LinearRounding, int, int] | None:
        """The rounding of a scaled, shifted and clipped value, with the lowest and the highest level; else None."""
        if not is_linear(self.quantizer) or self.steps.half_up:
            return None
        affines, clips = [], set()
        for stages in self.rows:
            affine, rest = (stages[0], stages[1:]) if stages and isinstance(stages[0], Affine) else (_SAME, stages)
            if not all(isinstance(stage, Clip) for stage in rest):
                return None
            affines.append(affine.at(0))
            clips.add(rest)
        low, high = self.steps.minimum, self.steps.maximum
        for clip in clips.pop():
            assert isinstance(clip, Clip)
            low = low if clip.low is None else min(max(low, self.steps.nearest(clip.low)), high)
            high = high if clip.high is None else max(min(high, self.steps.nearest(clip.high)), low)
        spacing = self.steps.spacing
        return (
            LinearRounding(
                np.array([float(factor / spacing) for factor, _ in affines]),
                np.array([float(offset / spacing) for _, offset in affines]),
            ),
            low,
            high,
        )

    def same(self, other: _End) -> bool:
        """Whether both give the same level of every value."""
        return (
            self.type == other.type
            and self.rows == other.rows
            and (self.quantizer == other.quantizer or (self._is_plain and other._is_plain))
        )

    def pads(self, ways: Iterable[Way]) -> bool:
        """Whether padding's zeros, if there are any, are zeros after the quantizer as well."""
        zero = sum(boundary.holds(Fraction(0)) for boundary in self.steps.boundaries) + self.steps.minimum
        return zero == 0 or not any(way.padded for way in ways)

    def thresholds(self) -> ThresholdRounding:
        """The levels by thresholds, for any function.

        Raises:
            ValueError: they would be too many.
        """
        count = self.steps.maximum - self.steps.minimum
        if count * len(self.rows) > MAXIMUM_THRESHOLDS:
            raise ValueError(
                f"layer {shown(self.layer)} has {count + 1:,} levels for each of {len(self.rows):,} channels"
            )
        found = {stages: self._row(stages) for stages in dict.fromkeys(self.rows)}  # many elements share a function
        signs = np.array([found[stages][0] for stages in self.rows], np.int8)
        return ThresholdRounding(np.array([found[stages][1] for stages in self.rows]).reshape(-1, count), signs)

    def _row(self, stages: tuple[Stage, ...]) -> tuple[int, npt.NDArray[np.float32]]:
        """(sign, thresholds) of an element with these stages before the quantizer."""
        even = even_steps(self.steps, stages, 0)
        if even is not None:
            return -1 if even.falling else 1, even.first_float32()
        conditions = Epilogue(stages, self.quantizer).conditions(0)
        falling = any(c.falling for c in conditions if c.boundary.value is not None)
        with np.errstate(over="ignore"):  # beyond the largest number lies infinity
            numbers = [_first_float32(condition, falling) for condition in conditions]
        return -1 if falling else 1, np.array(numbers, np.float32)


_SAME = Affine((Fraction(1),), (Fraction(0),))


def _simplified(stages: Sequence[ElementStage]) -> tuple[ElementStage, ...]:
    return tuple(stage for stage in stages if stage.stage != _SAME)


def _row_elements(stages: Sequence[ElementStage], shape: tuple[int, ...]) -> range:
    """Elements whose functions represent all: the first; the first of every channel; or every element."""
    size, channels = math.prod(shape), shape[-1]
    dependent = [stage for stage in stages if isinstance(stage.stage, Affine) and not stage.stage.uniform]
    if not dependent:
        return range(1)
    by_channel = np.arange(size) % channels
    for stage in dependent:
        here = stage.channel
        if ((here >= 0) & (here != by_channel)).any() or (here[:channels] < 0).any():
            return range(size)
    return range(channels)


def _first_float32(condition: Condition, falling: bool) -> float:
    """The smallest float32 t for which `sign * v >= t` is the condition, of all float32 v."""
    boundary = condition.boundary
    if boundary.value is None:
        return -math.inf if boundary.inclusive != condition.falling else math.inf
    # Falling: reached where not v >= value, that is -v > -value; or where not v > value, that is -v >= -value.
    value = -boundary.value if falling else boundary.value
    inclusive = not boundary.inclusive if falling else boundary.inclusive
    nearest = np.float32(_clamped(value))
    while _beyond(nearest, value, inclusive):
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    while not _beyond(nearest, value, inclusive):
        nearest = np.nextafter(nearest, np.float32(np.inf))
    return float(nearest)


_LARGEST = float(np.finfo(np.float32).max)


def _clamped(value: Fraction) -> float:
    return float(min(max(value, Fraction(-_LARGEST)), Fraction(_LARGEST)))


def _beyond(number: np.float32, value: Fraction, inclusive: bool) -> bool:
    if not np.isfinite(number):
        return bool(number > 0)
    return Fraction(float(number)) >= value if inclusive else Fraction(float(number)) > value


def _joined(shape: tuple[int, ...], ends: dict[int, _End], walked: frozenset[int]) -> QuantizedInput:
    """Levels that number the intervals between the thresholds of all quantizers.

    Raises:
        ValueError: the quantizers differ by channel or in direction, or there are too many intervals or levels.
    """
    names = " and ".join(dict.fromkeys(shown(end.layer) for end in ends.values()))
    if any(len(end.rows) > 1 for end in ends.values()):
        raise ValueError(f"layers {names} quantize it in different ways, channel by channel")
    found = {n: end.thresholds() for n, end in ends.items()}
    if len({int(one.sign[0]) for one in found.values()}) > 1:
        raise ValueError(f"layers {names} quantize it in opposite directions")
    if any(end.steps.maximum - end.steps.minimum >= _INT8 for end in ends.values()):
        raise ValueError(f"layers {names} quantize it in different ways, one of them to more than 8 bits")
    edges = np.unique(np.concatenate([one.thresholds[0] for one in found.values()]))
    if len(edges) >= _LARGEST_INTERVALS:
        raise ValueError(f"layers {names} quantize it in different ways, to {len(edges) + 1:,} intervals together")
    sign = next(iter(found.values())).sign
    zero = int(np.searchsorted(edges, np.float32(0), side="right"))
    dtype = "int8" if len(edges) < _INT8 else "int16"
    lowest = -128 if dtype == "int8" else -zero
    if dtype == "int16" and not -(2**15) <= lowest <= lowest + len(edges) < 2**15:
        raise ValueError(f"layers {names} quantize it in different ways, to too many intervals")
    maps = {}
    for n, end in ends.items():
        reached = np.concatenate([[0], np.searchsorted(found[n].thresholds[0], edges, side="right")])
        levels = reached + end.steps.minimum + end.steps.zero_point
        maps[n] = LevelMap(end.steps, tuple(int(level) for level in levels))
    type_ = TensorType(shape, dtype, lowest, lowest + len(edges), scale=1.0, zero_point=lowest + zero)
    rounding = ThresholdRounding(edges[None], sign)
    return QuantizedInput(type_, Fraction(1), rounding, walked, dict(maps), "")
