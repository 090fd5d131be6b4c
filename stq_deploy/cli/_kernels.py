"""The options of the commands that plan a network: what kernels are chosen for, and which kernel runs a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stq_deploy.pipeline.pipeline import Pipeline
    from stq_deploy.program import Optimization

BALANCED = "balanced"
"""The default of `--optimize`."""


@dataclass(frozen=True)
class KernelOptions:
    """How the user wants kernels chosen.

    Attributes:
        kernels: layer -> C function of the kernel that shall run it.
        optimize: what the other layers' kernels are chosen for.
    """

    kernels: dict[str, str]
    optimize: Optimization

    def applied(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline with these options."""
        return replace(pipeline, kernels=self.kernels, optimize=self.optimize)

    @property
    def command(self) -> str:
        """The options as on a command line, each after a blank."""
        return (f" --optimize {self.optimize}" if self.optimize != BALANCED else "") + kernels_command(self.kernels)


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
    """Decorator: adds the options, and gives the command `kernels: KernelOptions`."""

    @click.option(
        "--kernel",
        "kernels",
        multiple=True,
        metavar="LAYER=NAME",
        help="Run this layer with this kernel, whatever --optimize says. May be given for each layer; "
        "`profile` lists a layer's kernels.",
    )
    @click.option(
        "--optimize",
        type=click.Choice([BALANCED, "speed", "size"]),
        default=BALANCED,
        show_default=True,
        help="Choose kernels by estimate: for time as well as flash, for the shortest time, or for the least flash. "
        "`build` prints what was possible.",
    )
    @wraps(command)
    def wrapped(kernels: tuple[str, ...], optimize: Optimization, **others: Any) -> None:
        command(kernels=KernelOptions(parse_kernels(kernels), optimize), **others)

    return wrapped
