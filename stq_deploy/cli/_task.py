"""Options for the task of a model's output, for commands that score outputs and for `convert`, which records it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    pass

TASKS = ("classes", "binary", "multi-label", "pixel-classes", "regression", "reconstruction", "anomaly")
"""`network.output.Task`, without its import."""


def task_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options, and gives the command one `stated: Stated` instead of them."""

    @click.option(
        "--task",
        type=click.Choice(TASKS),
        help="What the model's output is.  [default: from its ending, its shape and the labels, where these leave one "
        "reading]",
    )
    @click.option(
        "--threshold",
        type=float,
        metavar="VALUE",
        help="Value of the output above which a class or label holds.  [default: 0.5 for a sigmoid, else 0]",
    )
    @wraps(command)
    def wrapped(task: str | None, threshold: float | None, **others: Any) -> None:
        from stq_deploy.common.errors import StqError
        from stq_deploy.evaluation.task import Stated
        from stq_deploy.network.output import Task

        if threshold is not None and not math.isfinite(threshold):
            raise StqError(f"--threshold {threshold} is not a threshold", next="give a number, such as 0.5")
        command(stated=Stated(None if task is None else Task(task), threshold), **others)

    return wrapped
