"""Errors of lowering, which name a value without an integer form, its layer, and an alternative."""

from __future__ import annotations

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown


def lowering_error(layer: str, what: str, next: str) -> StqError:
    """An error about a layer, whose name is untrusted text."""
    return StqError(what, where=f"layer {shown(layer)}", next=next)
