"""TensorFlow with Keras 2, and without the lines it prints when it starts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install

_STANDARD_ERROR = 2


def import_tensorflow(purpose: str, *, where: str = "") -> Any:
    """The module `tensorflow`; call this before anything imports `tf_keras` or `qkeras`.

    A program that has already imported it keeps its own log settings.

    Args:
        purpose: what needs it, for the error: "training".
        where: the file it is needed for.

    Raises:
        StqError: TensorFlow or QKeras is not installed.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # qkeras 0.9 needs Keras 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    ours = "tensorflow" not in sys.modules
    try:
        with _no_standard_error() if ours else contextlib.nullcontext():
            import qkeras  # noqa: F401 - so that its absence is reported here as well
            import tensorflow
    except ImportError as error:
        raise StqError(
            f"{purpose} needs TensorFlow and QKeras ({error})",
            where=where,
            next=f"install them: {how_to_install('train')}",
        ) from error
    if ours:
        tensorflow.get_logger().setLevel("ERROR")  # it warns about every model that is loaded only to be run
    return tensorflow


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
    """Drops C++ output meanwhile: TensorFlow prints some lines before it has read any log level."""
    try:
        kept = os.dup(_STANDARD_ERROR)
    except OSError:  # closed: nobody could see the lines
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)
