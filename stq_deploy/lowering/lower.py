"""Lowers a `SourceGraph` to a `Network`: decides each value's form, then emits the ops."""

from __future__ import annotations

from stq_deploy.common.progress import Progress, silent
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.lowering.decide import decide
from stq_deploy.lowering.emit import emit
from stq_deploy.network import Network


def lower(source: SourceGraph, progress: Progress = silent) -> Network:
    """The integer network of a checked model.

    Args:
        progress: called after every Keras layer; an interrupt there leaves nothing behind.

    Raises:
        UnknownInputError: no quantizer defines the input's levels.
        StqError: a combination of layers that has no integer form; the error says where and what to change.
    """
    return emit(decide(source, progress))
