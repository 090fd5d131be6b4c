"""Errors meant to be read by a person: what happened, where, the likely cause, and what to do next.

Also makes untrusted text fit for such an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StqError(Exception):
    """An explainable mistake of the user's or of the outside world.

    The command line prints it without a traceback and exits with `exit_code`.

    Args:
        what: what happened, one sentence.
        where: the file, layer, port or option it happened in.
        cause: the likely cause.
        next: what to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cause: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cause = cause
        self.next = next

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.cause:
            lines.append(f"  Likely cause: {self.cause}")
        if self.next:
            lines.append(f"  What to do: {self.next}")
        return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that resembles a mistyped one; empty if none does."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def no_such(what: str, name: str, known: Iterable[str], *, also: str = "") -> StqError:
    """The error for an unknown name, with the known one that it resembles.

    Args:
        what: what happened, one sentence.
        also: another next step, after the list of names.
    """
    names = list(known)
    near = did_you_mean(name, names)
    return StqError(
        what,
        cause=f"a slip for {near!r}" if near else "",
        next=f"choose one of: {', '.join(names)}" + (f"; {also}" if also else ""),
    )


def printable(text: str) -> str:
    """Untrusted text without control characters, line ends, or marks that change the writing direction."""
    return "".join(c if c.isprintable() else "?" for c in text)
