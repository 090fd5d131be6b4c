"""Logits of pictures that differ from one picture in few values: only what differs is computed, exactly.

A changed value reaches a few sums of the first convolution, and few of those become other levels. So each tensor of
a nearby picture is kept as the places where it differs from the clean picture's, with their levels. A sum is linear:
it is the clean sum plus the weights times what changed. Every other op is computed anew at the places it must be.

A place is a position of all channels: a pixel of an image, the whole of a vector. Results equal
`stq_deploy.network.reference`, to the bit; tests compare them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import Network
from stq_deploy.network.ops import (
    AveragePool,
    Concatenate,
    Convolve,
    Crop,
    Curve,
    Dense,
    DepthwiseConvolve,
    ElementwiseOp,
    MaxPool,
    Op,
    Pad,
    PairTable,
    Softmax,
    Table,
    WeightedOp,
    Window,
)
from stq_deploy.network.reference import run_layers
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.network.tensor import TensorType

Integers = npt.NDArray[np.int64]
Sums = npt.NDArray[np.floating[Any]]

BATCH = 64
"""Nearby pictures computed together: their changes stay in the processor's cache."""
_EXACT = {np.dtype(np.float32): 2**24, np.dtype(np.float64): 2**53}
"""Below this magnitude every integer is a number of the type."""


@dataclass(frozen=True)
class _Changes:
    """Where one tensor of N pictures differs from the clean one.

    Attributes:
        keys: int64 (R,), ascending: picture * places + place.
        values: int64 (R, C): the levels there.
    """

    keys: Integers
    values: Integers


class _Marks:
    """A set of keys in 0 .. size - 1, and the index of each among them."""

    def __init__(self, size: int, *parts: Integers) -> None:
        marked = np.zeros(size, np.bool_)
        for keys in parts:
            marked[keys] = True
        self.keys: Integers = np.flatnonzero(marked)
        self._index = np.full(size, -1, np.int32)
        self._index[self.keys] = np.arange(len(self.keys), dtype=np.int32)

    def index(self, keys: Integers) -> npt.NDArray[np.int32]:
        """Index of each key; -1 for one outside the set."""
        found: npt.NDArray[np.int32] = self._index[keys]
        return found


class _CheckedOp:
    """What is known of an op before any picture: which output place each tap of its window reaches.

    Attributes:
        targets: int64 (taps, input places): the output place, or -1.
        sources: int64 (taps, output places): the input place, or -1 for padding.
        weights: (taps, inputs of a group, outputs of all groups) of a convolution; (taps, outputs) of a depthwise one.
        dtype: in which its sums are exact.
    """

    def __init__(self, op: Op, x: TensorType, output: TensorType) -> None:
        window = getattr(op, "window", None)
        if isinstance(window, Window):
            self.targets, self.sources = _taps(window, x.shape, output.shape)
        else:
            self.targets = self.sources = np.arange(_places(x))[None]
        if isinstance(op, WeightedOp):
            low, high = op.accumulator_range(x)
            # A sum of the clean picture, and the differences added to it one by one.
            most = 3 * max(int(np.abs(low).max()), int(np.abs(high).max()), 1)
            self.dtype = np.dtype(np.float32 if most < _EXACT[np.dtype(np.float32)] else np.float64)
            taps = len(self.targets)
            if isinstance(op, DepthwiseConvolve):
                self.weights = op.weights.reshape(taps, -1).astype(self.dtype)
            else:
                self.weights = op.weights.reshape(taps, -1, op.weights.shape[-1]).astype(self.dtype)


class Nearby:
    """A network, ready for pictures near others.

    Args:
        network: any; its first output is computed.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._ops = _needed(network)
        self.layers = {
            op.name: _CheckedOp(op, network.tensors[op.inputs[0]], network.tensors[op.output]) for op in self._ops
        }

    def to(self, levels: npt.NDArray[np.integer[Any]]) -> Neighbourhood:
        """The pictures near one: `levels` is (*input shape)."""
        return Neighbourhood(self, self._ops, levels)


class Neighbourhood:
    """One clean picture with all of its tensors and sums."""

    def __init__(self, nearby: Nearby, ops: Sequence[Op], levels: npt.NDArray[np.integer[Any]]) -> None:
        self._network, self._layers, self._ops = nearby.network, nearby.layers, ops
        spec = self._network.input_type
        self._clean = {self._network.input: _flat(levels[None].astype(np.int64), spec)[0]}
        for op, output in run_layers(self._network, levels[None]):
            self._clean[op.output] = _flat(output.astype(np.int64), self._network.tensors[op.output])[0]
        self._sums = {op.name: self._clean_sums(op) for op in ops if isinstance(op, WeightedOp)}

    def logits(self, levels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Logit levels (N, *output shape), in the output's storage type, of input levels (N, *input shape)."""
        output = self._network.output_type
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of the interpreter's lock
            parts = list(pool.map(self._batch, [levels[i : i + BATCH] for i in range(0, len(levels), BATCH)]))
        found = np.concatenate(parts) if parts else np.zeros((0, _places(output), output.channels), np.int64)
        return found.reshape(len(levels), *output.shape).astype(output.dtype)

    def _batch(self, levels: npt.NDArray[np.integer[Any]]) -> Integers:
        network, count = self._network, len(levels)
        if not network.input_type.holds(levels):
            raise OverflowError("input levels leave the input's range")
        whole = _flat(levels.astype(np.int64), network.input_type)
        changes = {network.input: self._differing(network.input, whole)}
        for op in self._ops:
            found = self._step(op, [changes[name] for name in op.inputs], count)
            if not network.tensors[op.output].holds(found.values):
                raise OverflowError(f"{op.name}: output leaves its stated range")
            changes[op.output] = found
        return self._whole(network.outputs[0], changes[network.outputs[0]], np.arange(count))

    def _step(self, op: Op, inputs: Sequence[_Changes], count: int) -> _Changes:
        if isinstance(op, Convolve | Dense | DepthwiseConvolve):
            return self._weighted(op, inputs[0], count)
        if isinstance(op, MaxPool | AveragePool):
            return self._pooled(op, inputs[0], count)
        if isinstance(op, Pad | Crop):
            return self._moved(op, inputs[0])
        if isinstance(op, ElementwiseOp | Table | PairTable | Curve | Softmax):
            return self._placewise(op, op, inputs, count)
        if isinstance(op, Concatenate) and op.axis == len(self._network.tensors[op.output].shape) - 1:
            return self._placewise(op, replace(op, axis=0), inputs, count)
        return self._anew(op, inputs)

    # Ops with sums: the clean sum plus the weights times the change.

    def _weighted(self, op: Convolve | Dense | DepthwiseConvolve, x: _Changes, count: int) -> _Changes:
        layer, clean = self._layers[op.name], self._clean[op.inputs[0]]
        places, reached = len(clean), len(self._clean[op.output])
        pictures, at = np.divmod(x.keys, places)
        delta = (x.values - clean[at]).astype(layer.dtype)
        targets = layer.targets[:, at]
        keys = np.where(targets >= 0, pictures * reached + targets, -1)
        marks = _Marks(count * reached, *(k[k >= 0] for k in keys))
        sums = self._sums[op.name][marks.keys % reached]
        for tap, own in enumerate(keys):
            used = own >= 0
            if used.any():
                # The keys of a tap are all different: no two changed places reach one output place by it.
                rows = delta if used.all() else delta[used]
                sums[marks.index(own[used])] += _products(op, rows, layer.weights[tap])
        return self._kept(op, marks.keys, op.requantize.apply(sums.astype(np.int64)))

    def _clean_sums(self, op: WeightedOp) -> Sums:
        network = self._network
        x, output = network.tensors[op.inputs[0]], network.tensors[op.output]
        kept = replace(op, requantize=KeepAccumulator(output.channels, -(2**31), 2**31 - 1))
        whole = self._clean[op.inputs[0]].reshape(1, *x.shape)
        sums: Sums = _flat(kept.run([whole], [x], output), output)[0].astype(self._layers[op.name].dtype)
        return sums

    # Ops that are computed anew at the places that a change reaches.

    def _pooled(self, op: MaxPool | AveragePool, x: _Changes, count: int) -> _Changes:
        layer, clean, spec = self._layers[op.name], self._clean[op.inputs[0]], self._network.tensors[op.inputs[0]]
        places, reached = len(clean), len(self._clean[op.output])
        pictures, at = np.divmod(x.keys, places)
        targets = layer.targets[:, at]
        marks = _Marks(count * reached, *(pictures[t >= 0] * reached + t[t >= 0] for t in targets))
        pictures, to = np.divmod(marks.keys, reached)
        known = _Marks(count * places, x.keys)
        largest = isinstance(op, MaxPool)
        found = np.full((len(to), spec.channels), spec.minimum if largest else 0, np.int64)
        for source in layer.sources:
            own = source[to]
            inside = own >= 0
            values = self._values(op.inputs[0], x, known, pictures[inside] * places + own[inside])
            if largest:
                found[inside] = np.maximum(found[inside], values)
            else:
                found[inside] += values - spec.zero_point
        if isinstance(op, AveragePool):
            weight = op.multiple(spec) // op.window.count(spec.shape[0], spec.shape[1]).ravel()
            found = op.requantize.apply(found * weight[to][:, None])
        return self._kept(op, marks.keys, found)

    def _placewise(self, op: Op, by_place: Op, inputs: Sequence[_Changes], count: int) -> _Changes:
        """`by_place` does to places (R, C) what `op` does to tensors."""
        places = len(self._clean[op.output])
        marks = _Marks(count * places, *(x.keys for x in inputs))
        values = [
            x.values if len(x.keys) == len(marks.keys) else
            self._values(name, x, _Marks(count * places, x.keys), marks.keys)
            for name, x in zip(op.inputs, inputs, strict=True)
        ]  # fmt: skip
        types = self._network.input_types(op)
        return self._kept(op, marks.keys, by_place.run(values, types, self._network.tensors[op.output]))

    def _moved(self, op: Pad | Crop, x: _Changes) -> _Changes:
        (height, width), (rows, columns) = (self._network.tensors[n].shape[:2] for n in (op.inputs[0], op.output))
        sign = 1 if isinstance(op, Pad) else -1
        pictures, at = np.divmod(x.keys, height * width)
        row, column = at // width + sign * op.before[0], at % width + sign * op.before[1]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        keys = pictures * (rows * columns) + row * columns + column
        return _Changes(keys[inside], x.values[inside])

    def _anew(self, op: Op, inputs: Sequence[_Changes]) -> _Changes:
        """The whole op, of the pictures that still differ."""
        pictures = np.unique(
            np.concatenate([x.keys // len(self._clean[n]) for n, x in zip(op.inputs, inputs, strict=True)])
        )
        types, output = self._network.input_types(op), self._network.tensors[op.output]
        whole = [
            self._whole(name, x, pictures).reshape(len(pictures), *t.shape)
            for name, x, t in zip(op.inputs, inputs, types, strict=True)
        ]
        found = self._differing(op.output, _flat(op.run(whole, types, output), output))
        own, at = np.divmod(found.keys, _places(output))
        return _Changes(pictures[own] * _places(output) + at, found.values)

    # Tensors as changes.

    def _differing(self, name: str, whole: Integers) -> _Changes:
        """The places where (N, places, C) differs from the clean tensor."""
        keys = np.flatnonzero((whole != self._clean[name]).any(axis=2).ravel())
        return _Changes(keys, whole.reshape(-1, whole.shape[2])[keys])

    def _kept(self, op: Op, keys: Integers, values: Integers) -> _Changes:
        """Without the places whose levels are the clean ones after all."""
        clean = self._clean[op.output]
        differs = (values != clean[keys % len(clean)]).any(axis=1)
        return _Changes(keys[differs], values[differs])

    def _values(self, name: str, x: _Changes, known: _Marks, keys: Integers) -> Integers:
        """Levels (len(keys), C) at any places: those of the clean tensor where nothing changed."""
        clean = self._clean[name]
        values: Integers = clean[keys % len(clean)]
        index = known.index(keys)
        changed = index >= 0
        values[changed] = x.values[index[changed]]
        return values

    def _whole(self, name: str, x: _Changes, pictures: Integers) -> Integers:
        """The tensors (len(pictures), places, C) of some pictures; `pictures` ascends and holds all that changed."""
        clean = self._clean[name]
        whole = np.repeat(clean[None], len(pictures), axis=0)
        own, at = np.divmod(x.keys, len(clean))
        whole[np.searchsorted(pictures, own), at] = x.values
        return whole


def _products(op: Convolve | Dense | DepthwiseConvolve, rows: Sums, weights: Sums) -> Sums:
    """What changed inputs (R, inputs) add to the sums (R, outputs) that one tap reaches."""
    if isinstance(op, DepthwiseConvolve):
        multiplier = weights.shape[0] // rows.shape[1]
        return (rows if multiplier == 1 else np.repeat(rows, multiplier, axis=1)) * weights
    groups = rows.shape[1] // weights.shape[0]
    if groups == 1:
        sums: Sums = rows @ weights
        return sums
    parts = zip(np.split(rows, groups, axis=1), np.split(weights, groups, axis=1), strict=True)
    return np.concatenate([x @ w for x, w in parts], axis=1)


def _needed(network: Network) -> tuple[Op, ...]:
    """The ops that the first output is computed of, in their order."""
    wanted, found = {network.outputs[0]}, []
    for op in reversed(network.ops):
        if op.output in wanted:
            found.append(op)
            wanted.update(op.inputs)
    return tuple(reversed(found))


def _taps(window: Window, x: tuple[int, ...], output: tuple[int, ...]) -> tuple[Integers, Integers]:
    """`_CheckedOp.targets` and `_CheckedOp.sources` of a window."""
    (height, width), (rows, columns) = x[:2], output[:2]
    targets = np.full((math.prod(window.size), height * width), -1, np.int64)
    sources = np.full((math.prod(window.size), rows * columns), -1, np.int64)
    r, c = np.divmod(np.arange(rows * columns), columns)
    for tap, (i, j) in enumerate(product(*map(range, window.size))):
        row = r * window.stride[0] - window.pad_before[0] + i * window.dilation[0]
        column = c * window.stride[1] - window.pad_before[1] + j * window.dilation[1]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        sources[tap, inside] = (row * width + column)[inside]
        targets[tap, sources[tap, inside]] = np.flatnonzero(inside)
    return targets, sources


def _places(t: TensorType) -> int:
    return math.prod(t.shape[:-1])


def _flat(batch: Integers, t: TensorType) -> Integers:
    """(N, *shape) -> (N, places, C)."""
    return batch.reshape(len(batch), _places(t), t.channels)
