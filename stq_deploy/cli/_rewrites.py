"""Options of the pipeline's rewrites and of the steps it shows, for `convert` and `build`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.api.network import IntegerNetwork
    from stq_deploy.cli._conversion import ConversionOptions
    from stq_deploy.common.progress import Progress
    from stq_deploy.pipeline import Pipeline


@dataclass(frozen=True)
class RewriteOptions:
    """What the options ask for."""

    drop: bool
    pack: bool
    noise: float
    noise_seed: int
    print_after: tuple[str, ...]

    @property
    def command(self) -> str:
        """The options that change the network, as on a command line, each after a blank."""
        noise = f" --input-noise {self.noise:g} --input-noise-seed {self.noise_seed}" if self.noise else ""
        return " --drop-unread-units" * self.drop + " --pack-activations" * self.pack + noise

    def check(self) -> None:
        """Raises StqError if the pipeline has no such step, or options contradict each other."""
        from stq_deploy.common.errors import StqError
        from stq_deploy.pipeline import Watch

        if self.noise_seed and not self.noise:
            raise StqError("--input-noise-seed applies to noise, and there is none", next="add --input-noise SIGMA")
        Watch(self.print_after)

    def pipeline(self, conversion: ConversionOptions, progress: Progress, as_json: bool) -> Pipeline:
        """The pipeline that makes the network.

        Args:
            as_json: standard output is for JSON, so that tables go to standard error.

        Raises:
            StqError: the options contradict each other, or there is no such step.
        """
        from stq_deploy.network.noise import InputNoise
        from stq_deploy.pipeline import Pipeline, Rewrites, Watch

        def show(step: str, text: str) -> None:
            click.echo(f"after {step}:\n{text}\n", err=as_json)

        watch = Watch(self.print_after, show)
        noise = InputNoise(self.noise, self.noise_seed) if self.noise else None
        return Pipeline(conversion.load(), Rewrites(self.drop, self.pack, noise), progress, watch)

    def print_effects(self, console: Console, net: IntegerNetwork) -> None:
        """Print the changes that the rewrites have made."""
        from stq_deploy.api.network import IntegerNetwork

        assert net.making is not None  # the pipeline made it
        steps = net.making.steps
        if self.noise:
            console.print(
                f"noise of {self.noise:g} levels on the input, seed {self.noise_seed}: answers depend on the sample's "
                "counter, too (docs/ROBUSTNESS.md)",
                highlight=False,
            )
        kept_units = (steps.dropped.metadata.kept_units or {}) if self.drop else {}
        for op in steps.lowered.ops:
            kept = kept_units.get(op.name)
            if kept is not None:
                units = steps.lowered.tensors[op.output].channels
                console.print(f"unread units: {op.name} keeps {len(kept)} of {units}", markup=False, highlight=False)
        if self.drop and not kept_units:
            console.print("dropped no units: all are read", highlight=False)
        if steps.network is not steps.dropped:
            before, after = IntegerNetwork(steps.dropped).program.arena.bytes, net.program.arena.bytes
            console.print(f"packed activations: an arena of {after:,} bytes instead of {before:,}", highlight=False)
        elif self.pack:
            console.print("packed no activations: none makes the arena smaller", highlight=False)


def rewrite_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options, and gives the command one `rewrites: RewriteOptions` instead of them."""

    @click.option(
        "--pack-activations",
        "pack",
        is_flag=True,
        help="Keep activations of few bits packed while they wait, where that makes the arena smaller; costs time.",
    )
    @click.option(
        "--drop-unread-units",
        "drop",
        is_flag=True,
        help="Leave out units of a layer that no later weight reads: the same logits from less flash.",
    )
    @click.option(
        "--input-noise",
        "noise",
        type=click.FloatRange(0, 256),
        default=0.0,
        metavar="SIGMA",
        help="The network itself adds fresh Gaussian noise of SIGMA levels to its input: the random noise defense.",
    )
    @click.option(
        "--input-noise-seed", "noise_seed", type=click.IntRange(0, 2**64 - 1), default=0, help="Seed of that noise."
    )
    @click.option(
        "--print-after",
        "print_after",
        multiple=True,
        metavar="STEP",
        help="Show the model after a step of the pipeline: read, quantize-after-training, decide, emit, "
        "add-input-noise, drop-unread-units, pack-activations or plan. May be given several times.",
    )
    @wraps(command)
    def wrapped(
        drop: bool, pack: bool, noise: float, noise_seed: int, print_after: tuple[str, ...], **others: Any
    ) -> None:
        command(rewrites=RewriteOptions(drop, pack, noise, noise_seed, print_after), **others)

    return wrapped
