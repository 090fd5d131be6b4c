"""Certificates: what conversion proved about the levels of an op. Their home is the network's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Certificate:
    """What was proved about a requantization, table or curve. A fact that does not apply is None.

    Attributes:
        kind: the form.
        exact: whether every level equals the trained network's.
        channels: number of channels.
        entries: number of entries of a table.
        accumulators: number of reachable accumulators, of all channels.
        checked: number of those that were compared one by one.
        near_ties: number of those within 1e-9 (relative) of a rounding tie, which float64 cannot judge.
        largest_error: in real units, a bound over all reachable accumulators; of an inexact form.
        exact_signs: whether a logit's level is positive exactly where the logit is.
        smallest_slack: how far the worst channel's offset may move, in levels.
    """

    kind: str
    exact: bool
    channels: int | None = None
    entries: int | None = None
    accumulators: int | None = None
    checked: int | None = None
    near_ties: int | None = None
    largest_error: float | None = None
    exact_signs: bool | None = None
    smallest_slack: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The facts that apply, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, stated: object) -> Self | None:
        """The certificate of these facts, which are untrusted: None if they are malformed. Others are ignored."""
        if not isinstance(stated, Mapping):
            return None
        found = {field.name: stated[field.name] for field in fields(cls) if field.name in stated}
        if not {"kind", "exact"} <= set(found):
            return None
        for name, value in found.items():
            kind: Any = _KINDS.get(name, int)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                return None
        return cls(**found)


_KINDS = {
    "kind": str,
    "exact": bool,
    "exact_signs": bool,
    "largest_error": (float, int),
    "smallest_slack": (float, int),
}
"""Types of the facts that are not counts."""
