"""The end of a command: words, an exit code, and JSON if asked for; never a traceback."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TextIO

import click

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import with_docs

DEBUG_VARIABLE = "STQ_DEPLOY_DEBUG"
DEBUG_OPTION = "--debug"
JSON_OPTION = "--json"
USAGE = 2
INTERNAL = 70
"""Exit code of an error of ours, as sysexits.h has it (EX_SOFTWARE)."""
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class InterruptedCommandError(StqError):
    """Ctrl-C; says what is kept, and how to go on."""

    exit_code = INTERRUPTED


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Makes Ctrl-C within the block report what the command keeps.

    Args:
        kept: sentences about what is kept and how to continue.
    """
    try:
        yield
    except (KeyboardInterrupt, click.Abort) as error:
        raise InterruptedCommandError("interrupted", next=kept) from error


def ended(run: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run a command to its end and report that end; returns the exit code.

    Args:
        run: returns None or an exit code.
        arguments: of the command line, where --json and --debug are looked for.
    """
    lenient_streams()
    as_json = JSON_OPTION in takewhile(lambda argument: argument != "--", arguments)
    try:
        found = run()
        code = found if isinstance(found, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SystemExit as error:
        return _flushed(error.code)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _silence(sys.stdout)
        return 1
    except click.UsageError as error:
        with contextlib.suppress(OSError):
            error.show()
        help = f"{error.ctx.command_path} --help" if error.ctx else "stq-deploy --help"
        return _tell(StqError(error.format_message(), next=f"see {help}"), USAGE, as_json, quiet=True)
    except click.ClickException as error:
        return _tell(StqError(error.format_message()), error.exit_code, as_json)
    except (KeyboardInterrupt, click.Abort):
        stopped = InterruptedCommandError("interrupted", next="nothing is left half done: repeat the command")
        return _tell(stopped, INTERRUPTED, as_json)
    except StqError as error:
        return _tell(error, error.exit_code, as_json, debug=_wants_traceback(arguments))
    except Exception as error:
        explained = _explained(error)
        return _tell(explained, explained.exit_code, as_json, debug=_wants_traceback(arguments))


def lenient_streams() -> None:
    """Print characters that the terminal's encoding lacks as backslash escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")


class _InternalError(StqError):
    exit_code = INTERNAL


def _explained(error: Exception) -> StqError:
    """The words for an unexpected exception, as far as its type explains it."""
    if isinstance(error, OSError) and error.strerror:
        place = error.filename if isinstance(error.filename, str) else "input or output"
        next = "free some space, or choose another disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return StqError(error.strerror, where=place, next=next or "check the path and its permissions")
    if isinstance(error, MemoryError):
        return StqError("there is not enough memory for this", next="use a smaller model or fewer samples, or --limit")
    if isinstance(error, ModuleNotFoundError):
        return StqError(
            f"the package {error.name} is missing", next="`stq-deploy doctor` says how to get what is missing"
        )
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:300]
    return _InternalError(
        f"internal error: {type(error).__name__}: {text}",
        where=place,
        cause="a fault of stq-deploy, not of yours",
        next=f"repeat with {DEBUG_VARIABLE}=1, and report the traceback that shows, with the command, to whom you have "
        "stq-deploy from",
    )


def _wants_traceback(arguments: Sequence[str]) -> bool:
    leading = takewhile(lambda argument: argument.startswith("-"), arguments)
    return os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0") or DEBUG_OPTION in leading


def _tell(error: StqError, code: int, as_json: bool, *, debug: bool = False, quiet: bool = False) -> int:
    next = with_docs(error.next)
    error = StqError(error.what, where=error.where, cause=error.cause, next=next)
    with contextlib.suppress(OSError):  # standard error may be full or closed as well
        if debug:
            click.echo(traceback.format_exc(), err=True)
        if not quiet:
            click.echo(f"Error: {_printable(str(error))}", err=True)
    if as_json:
        told = {"what": error.what, "where": error.where, "cause": error.cause, "next": error.next, "exit_code": code}
        with contextlib.suppress(OSError):
            click.echo(json.dumps({"error": told}, indent=1))
    return _flushed(code)


def _printable(text: str) -> str:
    """Names from files may contain control codes for a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _flushed(code: object) -> int:
    """The exit code, after flushing all output; a failing flush is an error."""
    number = 0 if code is None else code if isinstance(code, int) else 1
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        with contextlib.suppress(OSError):
            click.echo(f"Error: cannot write the output: {error.strerror}", err=True)
        return number or 1
    return number


def _silence(stream: TextIO) -> None:
    """Python flushes once more at exit, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
