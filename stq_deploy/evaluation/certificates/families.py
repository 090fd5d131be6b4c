"""Families of changes to a picture of 8 bits. Each has finitely many members, which are enumerated.

A picture is (H, W, C) uint8. The unchanged picture is a member of every family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError

Picture = npt.NDArray[np.uint8]
_GRAY = 128
"""Contrast is changed about this level."""


@dataclass(frozen=True)
class Family(ABC):
    """A family.

    Attributes:
        name: as on the command line.
        what: the members, in words.
        local: a member differs from the picture in few values, so that little of it must be computed.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    local: ClassVar[bool] = False

    @abstractmethod
    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        """Every member with a unique name; the likeliest to be misclassified first."""

    @abstractmethod
    def count(self, shape: tuple[int, ...]) -> int:
        """Number of members for a picture of this shape, equal ones included."""


@dataclass(frozen=True)
class Brightness(Family):
    """Every pixel moved by the same d in -most .. most, clipped to 0..255."""

    name: ClassVar[str] = "brightness"
    what: ClassVar[str] = "brightness:N - all pixels brighter or darker by up to N levels"
    most: int

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        for d in _outside_in(self.most):
            yield f"{d:+d}", np.clip(picture.astype(np.int16) + d, 0, 255).astype(np.uint8)

    def count(self, shape: tuple[int, ...]) -> int:
        return 2 * self.most + 1


@dataclass(frozen=True)
class Shift(Family):
    """Moved by up to `most` pixels down and right, -most .. most; the edge is mirrored without repeating it."""

    name: ClassVar[str] = "shift"
    what: ClassVar[str] = "shift:N - moved by up to N pixels in each direction, edges mirrored"
    most: int

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        height, width = picture.shape[:2]
        if self.most >= min(height, width):
            raise StqError(
                f"a picture of {height}x{width} cannot be shifted by {self.most} pixels",
                where=f"family shift:{self.most}",
                next="choose a smaller shift",
            )
        padding = ((self.most, self.most), (self.most, self.most), (0, 0))
        framed = np.pad(picture, padding, mode="reflect")
        for down, right in product(_outside_in(self.most), repeat=2):
            top, left = self.most - down, self.most - right
            yield f"{down:+d},{right:+d}", framed[top : top + height, left : left + width]

    def count(self, shape: tuple[int, ...]) -> int:
        return (2 * self.most + 1) ** 2


@dataclass(frozen=True)
class Mirror(Family):
    """The picture as it is, and with left and right exchanged."""

    name: ClassVar[str] = "mirror"
    what: ClassVar[str] = "mirror - left and right exchanged"

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        yield "mirrored", picture[:, ::-1]
        yield "as it is", picture

    def count(self, shape: tuple[int, ...]) -> int:
        return 2


@dataclass(frozen=True)
class Contrast(Family):
    """Distances from gray level 128 multiplied by (100 + p) / 100, p = -most .. most; rounded half away from 128."""

    name: ClassVar[str] = "contrast"
    what: ClassVar[str] = "contrast:N - distances from gray 128 changed by up to N percent"
    most: int

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        distance = picture.astype(np.int32) - _GRAY
        for p in _outside_in(self.most):
            scaled = (np.abs(distance) * (100 + p) + 50) // 100
            yield f"{p:+d} %", np.clip(_GRAY + np.sign(distance) * scaled, 0, 255).astype(np.uint8)

    def count(self, shape: tuple[int, ...]) -> int:
        return 2 * self.most + 1


@dataclass(frozen=True)
class Pixel(Family):
    """One value replaced: by 0 or 255, or by any level."""

    name: ClassVar[str] = "pixel"
    local: ClassVar[bool] = True
    what: ClassVar[str] = "pixel:extremes - any one value set to 0 or 255; pixel:any - to any level"
    any: bool

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        yield "as it is", picture
        yield from _replaced(picture, (0, 255))  # the largest changes first
        if self.any:
            yield from _replaced(picture, range(1, 255))

    def count(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape)) * (256 if self.any else 2) + 1


@dataclass(frozen=True)
class Composed(Family):
    """Every member of the first family, changed by every member of the second."""

    name: ClassVar[str] = "composed"
    what: ClassVar[str] = "A+B - every member of A changed by every member of B, such as mirror+shift:1"
    first: Family
    second: Family

    def members(self, picture: Picture) -> Iterator[tuple[str, Picture]]:
        for name, changed in self.first.members(picture):
            for then, again in self.second.members(changed):
                yield f"{self.first.name} {name}; {self.second.name} {then}", again

    def count(self, shape: tuple[int, ...]) -> int:
        return self.first.count(shape) * self.second.count(shape)


FAMILIES: tuple[type[Family], ...] = (Brightness, Shift, Mirror, Contrast, Pixel, Composed)

LINF = "linf:N - every value moved by up to N levels, each by its own, bounded instead of enumerated (not joined)"


def parse_family(text: str) -> Family:
    """The family that a text such as `brightness:16` or `mirror+shift:2` names.

    Raises:
        StqError: no family has this name, or its number is out of range.
    """
    first, plus, rest = text.partition("+")
    if plus:
        return Composed(parse_family(first), parse_family(rest))
    name, _, argument = text.strip().partition(":")
    if name == Mirror.name and not argument:
        return Mirror()
    if name == Pixel.name and argument in ("extremes", "any"):
        return Pixel(argument == "any")
    for kind, most in ((Brightness, 255), (Shift, 64), (Contrast, 100)):
        if name == kind.name and argument.isdecimal() and len(argument) < 4 and int(argument) <= most:
            return kind(int(argument))
    raise StqError(
        f"{text!r} is not a family of pictures",
        where="--family",
        next="give one of: " + "; ".join([*(kind.what for kind in FAMILIES), LINF]),
    )


def _replaced(picture: Picture, levels: Iterable[int]) -> Iterator[tuple[str, Picture]]:
    """Each value replaced by each of the levels that it is not already."""
    for place in product(*map(range, picture.shape)):
        for level in levels:
            if picture[place] != level:
                changed = picture.copy()
                changed[place] = level
                yield f"{place[0]},{place[1]},{place[2]} = {level}", changed


def _outside_in(most: int) -> list[int]:
    """-most .. most, the largest first: they are the likeliest to be misclassified."""
    return sorted(range(-most, most + 1), key=lambda d: (-abs(d), d))
