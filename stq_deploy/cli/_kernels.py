"""The option of the commands that plan a network: which kernel runs a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click


def parse_kernels(texts: Sequence[str]) -> dict[str, str]:
    """`LAYER=NAME` texts as layer -> C function. A layer's name may hold an equals sign; a function's does not.

    Raises:
        StqError: a text is not of this form, or names a layer again.
    """
    from stq_deploy.common.errors import StqError

    found: dict[str, str] = {}
    for text in texts:
        layer, equals, function = text.rpartition("=")
        if not equals or not layer or not function:
            raise StqError(
                f"{text!r} names no kernel for a layer",
                where="--kernel",
                next="write LAYER=NAME, for instance conv2=stq_convolve_t2_s8; `stq-deploy profile` lists the names",
            )
        if layer in found:
            raise StqError(f"layer {layer!r} has two kernels", where=f"--kernel {text}", next="name each layer once")
        found[layer] = function
    return found


def kernels_command(kernels: dict[str, str]) -> str:
    """The options as on a command line, each after a blank."""
    import shlex

    return "".join(" --kernel " + shlex.quote(f"{layer}={function}") for layer, function in kernels.items())


def kernel_option(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the option, and gives the command `kernels: dict[str, str]`, layer -> C function."""

    @click.option(
        "--kernel",
        "kernels",
        multiple=True,
        metavar="LAYER=NAME",
        help="Run this layer with this kernel, instead of the fastest by estimate. May be given for each layer; "
        "`profile` lists a layer's kernels.",
    )
    @wraps(command)
    def wrapped(kernels: tuple[str, ...], **others: Any) -> None:
        command(kernels=parse_kernels(kernels), **others)

    return wrapped
