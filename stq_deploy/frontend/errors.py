"""Errors of the import: which layer, which setting, and what to do instead."""

from __future__ import annotations

from reprlib import Repr

from stq_deploy.common.errors import StqError

_SHOWN = 120
_SHORT = Repr()
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 40
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 2 * _SHOWN


def shown(value: object) -> str:
    """An untrusted value as one short, printable line; cheap for values of any size and depth."""
    text = _SHORT.repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def unsupported(layer: str, kind: str, what: str, next: str, cause: str = "") -> StqError:
    """A layer or setting that cannot be converted.

    Args:
        layer, kind: the layer's name and Keras class.
        what: the setting and its value, and what is wrong with it.
        next: the nearest supported alternative.
    """
    return StqError(what, where=f"layer {shown(layer)} ({shown(kind)[1:-1]})", cause=cause, next=next)


def damaged(detail: str) -> StqError:
    """A model file that contradicts itself; a caller that knows the path adds it with `located`."""
    return StqError(
        f"this is not a usable QKeras model file: {detail}",
        cause="the file is truncated, damaged, or was not written by Keras",
        next="save the model again with model.save('model.keras') or model.save('model.h5')",
    )


def located(error: StqError, path: str) -> StqError:
    """`error` with the file's path before its own place."""
    where = f"{path}: {error.where}" if error.where else path
    return type(error)(error.what, where=where, cause=error.cause, next=error.next)
