"""Finds the arrays of a layer among those of an .h5 or .keras file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import damaged, shown
from stq_deploy.frontend.source import FloatArray
from stq_deploy.sandbox import Contents
from stq_deploy.sandbox.process import Array

Shapes = Mapping[str, tuple[int, ...] | None]
"""Every array that a layer stores, in Keras's order: name -> shape, or None for one that is not read.

The arrays of a layer inside the layer are named `inner/name`, after the attribute that holds it.
"""


class Broadcast(tuple[int, ...]):
    """A shape in `Shapes` of an array that is to be spread over it: each size is this one's, or 1."""

    __slots__ = ()


ArrayReader = Callable[[tuple[str, ...], str, Shapes], dict[str, FloatArray]]
"""(`LayerConfig.path`, its `container`, shapes) -> arrays by name."""


_OTHER_NAMES = {"depthwise_kernel": "kernel"}
"""Name of an array -> how Keras 3 calls it in an .h5 file."""


def array_reader(found: Contents, form: str) -> ArrayReader:
    """The function that gives the arrays of one layer.

    It raises StqError where they are absent, of another shape or type, or not finite.
    """
    return _h5_reader(found) if form == "h5" else _keras_reader(found)


def number_counter(found: Contents, form: str) -> Callable[[tuple[str, ...], str], int]:
    """The function that counts all numbers stored for a layer at this path and container."""

    def count(path: tuple[str, ...], container: str) -> int:
        beginning = f"{container}/" if form == "keras" else f"{path[0]}/"
        within = f"/{path[-1]}/" if form == "h5" and len(path) > 1 else ""
        own = (array for name, array in found.arrays.items() if name.startswith(beginning) and within in name)
        return sum(array.size for array in own if not isinstance(array, str))

    return count


def _h5_reader(found: Contents) -> ArrayReader:
    @cache
    def scopes_of(outermost: str) -> dict[str, dict[str, str]]:
        """Arrays of an outermost layer: scope -> role of the array -> its name."""
        scopes: dict[str, dict[str, str]] = {}
        for name in found.listed.get(outermost, ()):  # such as "conv1/kernel:0"
            scope, _, last = name.rpartition("/")
            scopes.setdefault(scope, {})[last.split(":")[0]] = name
        return scopes

    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        scopes = scopes_of(path[0])
        if len(path) == 1:  # all belong to the layer, whatever its name was when they were made
            own = list(scopes.values())
        else:  # arrays of all layers of an inner model; this layer's are under its name, or a longer part of its path
            ends = ("/".join(path[i:]) for i in range(len(path)))
            end = next((end for end in ends if end in scopes), "")
            inner = any("/" in what for what in shapes)  # whether it contains a layer, under some name
            own = [scopes[s] for s in scopes if s == end or (inner and s.rpartition("/")[0] == end)]
        names = {what: name for scope in own for what, name in scope.items()}
        layer = shown("/".join(path))
        for what, other in _OTHER_NAMES.items():
            if what in map(_last, shapes) and what not in names and other in names and other not in shapes:
                names[what] = names.pop(other)
        if set(names) != {_last(what) for what in shapes}:
            raise damaged(f"layer {layer} stores the arrays {shown(sorted(names))}, not {sorted(map(_last, shapes))}")
        stored: dict[str, Array | str] = {
            what: found.arrays.get(f"{path[0]}/{name}", "is missing") for what, name in names.items()
        }
        return {w: _checked(stored[_last(w)], shape, layer, w) for w, shape in shapes.items() if shape is not None}

    return read


def _keras_reader(found: Contents) -> ArrayReader:
    counts = Counter(path.rpartition("/")[0] for path in found.arrays)

    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        layer = shown("/".join(path))
        by_group: dict[str, list[str]] = {}  # arrays of a layer inside it are in a group within its own
        for what in shapes:
            inner = what.rpartition("/")[0]
            by_group.setdefault(f"{container}/{inner}/vars" if inner else f"{container}/vars", []).append(what)
        if any(counts[group] != len(names) for group, names in by_group.items()) or not shapes:
            raise damaged(f"layer {layer} stores {[counts[group] for group in by_group]} arrays, not {sorted(shapes)}")
        return {
            what: _checked(found.arrays.get(f"{group}/{i}", "is missing"), shape, layer, what)
            for group, names in by_group.items()
            for i, what in enumerate(names)
            if (shape := shapes[what]) is not None
        }

    return read


def _last(what: str) -> str:
    return what.rpartition("/")[2]


def _checked(stored: Array | str, shape: tuple[int, ...], layer: str, what: str) -> FloatArray:
    """A stored array, if it has this shape and is finite."""
    if isinstance(stored, str):
        raise damaged(f"array {what!r} of layer {layer} {stored}")
    if stored.dtype != np.float32:
        raise damaged(f"array {what!r} of layer {layer} is not of float32 numbers")
    spread = isinstance(shape, Broadcast) and len(stored.shape) == len(shape)
    if not ((spread and all(n in (1, of) for n, of in zip(stored.shape, shape, strict=True))) or stored.shape == shape):
        raise damaged(f"array {what!r} of layer {layer} has shape {stored.shape}, the configuration asks for {shape}")
    if not np.isfinite(stored).all():
        raise StqError(
            f"array {what!r} holds NaN or infinite values",
            where=f"layer {layer}",
            cause="the training diverged",
            next="train again, with a lower learning rate or clipped gradients",
        )
    return stored
