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


@dataclass(frozen=True)
class ConversionOptions:
    """The conversion that the options name."""

    post_training: str | None
    calibrate: Path | None
    ranges: str
    input_range: tuple[float, float] | None
    input_bits: int

    def load(self) -> Conversion:
        """The conversion for the lowering, with the calibration samples read.

        Raises:
            StqError: options that contradict each other, or an unusable sample file.
        """
        from stq_deploy.common.errors import StqError
        from stq_deploy.datasets.samples import load_samples
        from stq_deploy.pipeline import Conversion, PostTraining

        low, high = self.input_range or (0.0, 1.0)
        if not low < high < float("inf") or low == -float("inf"):
            raise StqError(f"--input-range {low:g} {high:g} is not a range", next="give two numbers, the smaller first")
        if self.post_training is not None and self.calibrate is None:
            raise StqError(
                "--post-training needs --calibrate",
                next="give --post-training int8 --calibrate FILE.npz, a few hundred samples like those trained on",
            )
        samples = None if self.calibrate is None else load_samples(self.calibrate)
        if samples is None or self.post_training is None:
            return Conversion(self.input_range, None, samples, self.input_bits)
        return Conversion(self.input_range, PostTraining(samples, self.ranges), None, self.input_bits)


def conversion_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options, and gives the command one `conversion: ConversionOptions` instead of them."""

    @click.option(
        "--post-training",
        type=click.Choice(["int8"]),
        help="Quantize what the model has in floating point: weights per channel, activations to ranges that "
        "--calibrate shows.",
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
        **others: Any,
    ) -> None:
        command(conversion=ConversionOptions(post_training, calibrate, ranges, input_range, input_bits), **others)

    return wrapped
