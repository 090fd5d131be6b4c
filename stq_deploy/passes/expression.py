"""Values while they are lowered: tensors of levels, or an accumulator or combination with stages still to be folded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Add, Multiply, WeightedOp
from stq_deploy.network.tensor import TensorType
from stq_deploy.passes.stages import Stage


@dataclass(frozen=True, eq=False)
class Levels:
    """A tensor of the network; `scale` is its type's, exact."""

    tensor: str
    type: TensorType
    scale: Fraction


@dataclass(frozen=True, eq=False)
class Accumulated:
    """The accumulator of a weighted op that has no requantisation yet.

    Attributes:
        layer: the Keras layer. name: what the op will be called.
        whole: whether this is all the layer computes (no bias or activation, not half a separable convolution).
        op, arguments: class of the op and its constructor arguments beside those common to all.
        low, high: int64 (C,), the reachable accumulators.
        scale: real value of one accumulator step, per channel.
    """

    layer: str
    name: str
    whole: bool
    op: type[WeightedOp]
    arguments: dict[str, Any]
    source: Levels
    shape: tuple[int, ...]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    scale: tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Combined:
    """Sum or product, element by element, of two terms of one shape; `layer`, `whole` as in `Accumulated`."""

    layer: str
    whole: bool
    kind: type[Add] | type[Multiply]
    terms: tuple[Core, Core]


Core = Levels | Accumulated | Combined


@dataclass(frozen=True, eq=False)
class Expression:
    """`stages` applied to `core`; `sources` are the Keras layers of the stages."""

    core: Core
    stages: tuple[Stage, ...] = ()
    sources: tuple[str, ...] = ()


Value = Levels | Expression


def leaves(core: Core) -> list[Levels] | None:
    """The distinct tensors of a combination, in order; None if an accumulator is among them."""
    if isinstance(core, Accumulated):
        return None
    if isinstance(core, Levels):
        return [core]
    found: list[Levels] = []
    for term in core.terms:
        inner = leaves(term)
        if inner is None:
            return None
        found += [leaf for leaf in inner if all(leaf.tensor != known.tensor for known in found)]
    return found


def layers_of(core: Core) -> tuple[str, ...]:
    """The Keras layers whose arithmetic the whole combination is, in order."""
    if isinstance(core, Levels):
        return ()
    if isinstance(core, Accumulated):
        return (core.layer,)
    inner = [name for term in core.terms for name in layers_of(term)]
    return joined(tuple(inner), (core.layer,))


def joined(*names: tuple[str, ...]) -> tuple[str, ...]:
    """All the names in order, each once."""
    return tuple(dict.fromkeys(name for group in names for name in group))


def evaluate(core: Core, values: dict[str, Fraction]) -> Fraction:
    """A combination's exact value, given each tensor's real value."""
    if isinstance(core, Levels):
        return values[core.tensor]
    if isinstance(core, Accumulated):
        raise TypeError("an accumulator cannot be tabulated")
    a, b = (evaluate(term, values) for term in core.terms)
    return a + b if core.kind is Add else a * b


def combine(kind: type[Add] | type[Multiply], a: Levels, b: Levels) -> tuple[Fraction, dict[str, Any]]:
    """(real value of one accumulator step, the op's own constructor arguments) of an Add or Multiply of two tensors.

    An Add's factors bring both to the coarsest scale of which both are multiples.
    """
    if kind is Multiply:
        return a.scale * b.scale, {}
    denominator = a.scale.denominator * b.scale.denominator
    common = Fraction(
        math.gcd(a.scale.numerator * b.scale.denominator, b.scale.numerator * a.scale.denominator),
        denominator,
    )
    return common, {"factors": (int(a.scale / common), int(b.scale / common))}


def each_level(x: Levels) -> Iterator[tuple[int, Fraction]]:
    """Every reachable level of a tensor with its exact real value."""
    for level in range(x.type.minimum, x.type.maximum + 1):
        yield level, (level - x.type.zero_point) * x.scale
