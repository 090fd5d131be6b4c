"""Tensors whose places in memory depend on each other: views of one whole, and outputs that replace inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stq_deploy.network import TensorType

MayShare = Callable[[str, str], bool]
"""Whether two tensors may have bytes in common."""


@dataclass(frozen=True)
class Tie:
    """`tensor` begins `distance` bytes after the beginning of `anchor`."""

    anchor: str
    tensor: str
    distance: int


class Groups:
    """A partition of tensors into groups of fixed relative places; at first, each tensor is a group of its own.

    Args:
        types: every tensor.
        may_share: called for tensors of one group whose bytes would overlap.
    """

    def __init__(self, types: Mapping[str, TensorType], may_share: MayShare) -> None:
        self._types = types
        self._may_share = may_share
        self._group_of: dict[str, dict[str, int]] = {name: {name: 0} for name in types}

    def tie(self, ties: Iterable[Tie]) -> bool:
        """Add all of these constraints. If they contradict each other or existing ones, change nothing and return
        False."""
        before = dict(self._group_of)
        if all(self._tie(tie) for tie in ties):
            return True
        self._group_of = before
        return False

    def all(self) -> list[dict[str, int]]:
        """Every group once: its tensors with their offsets from the group's beginning, lowest first."""
        found = []
        for first, group in self._group_of.items():
            if first == next(iter(group)):
                start = min(group.values())
                found.append(dict(sorted(((n, at - start) for n, at in group.items()), key=lambda pair: pair[1])))
        return found

    def _tie(self, tie: Tie) -> bool:
        host, guest = self._group_of[tie.anchor], self._group_of[tie.tensor]
        shift = host[tie.anchor] + tie.distance - guest[tie.tensor]
        if host is guest:
            return shift == 0
        moved = {name: at + shift for name, at in guest.items()}
        joined = host | moved
        start = min(joined.values())
        if not all(self._is_aligned(name, at - start) for name, at in joined.items()):
            return False
        for name, at in moved.items():
            for other, there in host.items():
                apart = at + self._types[name].bytes <= there or there + self._types[other].bytes <= at
                if not apart and not self._may_share(name, other):
                    return False
        self._group_of.update(dict.fromkeys(joined, joined))
        return True

    def _is_aligned(self, name: str, offset: int) -> bool:
        return offset % np.dtype(self._types[name].dtype).itemsize == 0
