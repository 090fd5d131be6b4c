"""The one way in which ops and requantization forms refuse attributes that contradict each other."""

from __future__ import annotations


def require(condition: bool, message: str) -> None:
    """ValueError with `message` unless `condition`."""
    if not condition:
        raise ValueError(message)
