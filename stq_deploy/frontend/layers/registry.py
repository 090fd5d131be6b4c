"""Keras class name -> the handler that imports it."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.layers.alternatives import ALTERNATIVES
from stq_deploy.frontend.layers.reader import LayerReader

Handler = Callable[[LayerReader], None]
_HANDLERS: dict[str, Handler] = {}


def register(*kinds: str) -> Callable[[Handler], Handler]:
    """Decorator: the function imports Keras layers of these classes."""

    def keep(handler: Handler) -> Handler:
        for kind in kinds:
            _HANDLERS[kind] = handler
        return handler

    return keep


def supported_kinds() -> tuple[str, ...]:
    """Every Keras class that has a handler."""
    return tuple(sorted(_HANDLERS))


def handler_for(name: str, kind: str) -> Handler:
    """The handler of a Keras class.

    Raises:
        StqError: there is none; the error says why, and what to use instead.
    """
    if kind in _HANDLERS:
        return _HANDLERS[kind]
    raise _no_handler(name, kind)


def _no_handler(name: str, kind: str) -> StqError:
    if kind not in ALTERNATIVES:
        return unsupported(
            name, kind, "this layer type is not supported",
            next=f"build the model from: {', '.join(supported_kinds())}",
        )  # fmt: skip
    reason, alternative = ALTERNATIVES[kind]
    return unsupported(name, kind, f"this layer type is not supported: {reason}", next=alternative)
