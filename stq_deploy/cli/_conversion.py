"""Options of every command that may have to convert a Keras model: its input, and post-training quantization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stq_deploy.pipeline import Conversion

METHODS = ("mse", "minmax")
SCHEMES = ("int8", "int4", "mixed")
ROUNDINGS = ("nearest", "adaptive")


@dataclass(frozen=True)
class ConversionOptions:
    """The conversion that the options name."""

    post_training: str | None
    calibrate: Path | None
    ranges: str
    input_range: tuple[float, float] | None
    input_bits: int
    flash_budget: int | None = None
    cycle_budget: int | None = None
    equalize: bool | None = None
    correct_bias: bool | None = None
    rounding: str | None = None

    def load(self) -> Conversion:
        """The conversion for the lowering, with the calibration samples read.

        Raises:
            StqError: options that contradict each other, or an unusable sample file.
        """
        from stq_deploy.common.errors import StqError
        from stq_deploy.datasets.samples import load_samples
        from stq_deploy.lowering.after_training.method import weight_method
        from stq_deploy.pipeline import Conversion, PostTraining
        from stq_deploy.pipeline.options import budget_of

        low, high = self.input_range or (0.0, 1.0)
        if not low < high < float("inf") or low == -float("inf"):
            raise StqError(f"--input-range {low:g} {high:g} is not a range", next="give two numbers, the smaller first")
        if self.post_training is not None and self.calibrate is None:
            raise StqError(
                "--post-training needs --calibrate",
                next="give --post-training int8 --calibrate FILE.npz, a few hundred samples like those trained on",
            )
        self._check_needs_post_training()
        samples = None if self.calibrate is None else load_samples(self.calibrate)
        if samples is None or self.post_training is None:
            return Conversion(self.input_range, None, samples, self.input_bits)
        method = weight_method(self.post_training, self.equalize, self.correct_bias, self.rounding)
        budget = budget_of(self.flash_budget, self.cycle_budget)
        after = PostTraining(samples, self.ranges, self.post_training, method, budget)
        return Conversion(self.input_range, after, None, self.input_bits)

    def _check_needs_post_training(self) -> None:
        """Raises StqError if an option of post-training quantization is given without it."""
        from stq_deploy.common.errors import StqError

        given = {
            "--flash-budget": self.flash_budget,
            "--cycle-budget": self.cycle_budget,
            "--equalize": self.equalize,
            "--correct-bias": self.correct_bias,
            "--rounding": self.rounding,
        }
        for option, value in given.items():
            if value is not None and self.post_training is None:
                raise StqError(
                    f"{option} is an option of post-training quantization",
                    next="give --post-training int8, int4 or mixed too, or leave it out",
                )


def conversion_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options, and gives the command one `conversion: ConversionOptions` instead of them."""

    @click.option(
        "--post-training",
        type=click.Choice(SCHEMES),
        help="Quantize what the model has in floating point: activations to 8 bits, in ranges that --calibrate shows; "
        "weights per channel to 8 bits, to 4, or to 2, 4 or 8 by layer within a budget.",
    )
    @click.option(
        "--flash-budget",
        type=click.IntRange(min=1),
        metavar="BYTES",
        help="With --post-training mixed: most bytes of the network's weights and tables.",
    )
    @click.option(
        "--cycle-budget",
        type=click.IntRange(min=1),
        metavar="CYCLES",
        help="With --post-training mixed: most estimated cycles of an inference on a Cortex-M7.",
    )
    @click.option(
        "--rounding",
        type=click.Choice(ROUNDINGS),
        help="Weights of --post-training: to the nearest, or up or down for the least error of a layer's sums on the "
        "calibration samples.  [default: nearest with int8, else adaptive]",
    )
    @click.option(
        "--correct-bias/--no-correct-bias",
        default=None,
        help="With --post-training: correct each channel's bias by the mean error of its sums.  [default: not with "
        "int8]",
    )
    @click.option(
        "--equalize/--no-equalize",
        default=None,
        help="With --post-training: scale channels between layers to similar ranges first.  [default: no]",
    )
    @click.option(
        "--calibrate",
        type=click.Path(path_type=Path),
        help="Sample file (.npz) like those trained on. Where the model does not quantize its input, the range that "
        "the file states is the input's; --post-training looks at 1024 samples, spread evenly.",
    )
    @click.option(
        "--ranges",
        type=click.Choice(METHODS),
        default=METHODS[0],
        help="Ranges of activations: of least squared error, or from the smallest to the largest value.",
    )
    @click.option(
        "--input-range",
        type=float,
        nargs=2,
        default=None,
        metavar="LOW HIGH",
        help="Smallest and largest value of the model's input, such as -8 8; pixels 0 and 255 mean these two. "
        "Pictures of a model that does not quantize its input are pixels in [0, 1] by default.",
    )
    @click.option(
        "--input-bits",
        type=click.IntRange(8, 16),
        default=8,
        help="Bits of the input's levels where the model does not quantize its input; more than 8 are stored as int16.",
    )
    @wraps(command)
    def wrapped(
        post_training: str | None,
        calibrate: Path | None,
        ranges: str,
        input_range: tuple[float, float] | None,
        input_bits: int,
        flash_budget: int | None,
        cycle_budget: int | None,
        equalize: bool | None,
        correct_bias: bool | None,
        rounding: str | None,
        **others: Any,
    ) -> None:
        conversion = ConversionOptions(
            post_training, calibrate, ranges, input_range, input_bits,
            flash_budget, cycle_budget, equalize, correct_bias, rounding,
        )  # fmt: skip
        command(conversion=conversion, **others)

    return wrapped
