"""Options of every command that may have to convert a Keras model: post-training quantization, and what pixels mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stq_deploy.passes import Conversion

METHODS = ("mse", "minmax")


@dataclass(frozen=True)
class ConversionOptions:
    """What the options say."""

    post_training: str | None
    calibrate: Path | None
    ranges: str
    input_range: tuple[float, float]

    def load(self) -> Conversion:
        """As the passes take it, the calibration samples read.

        Raises:
            StqError: options that contradict each other, or an unusable sample file.
        """
        from stq_deploy.datasets.samples import load_samples
        from stq_deploy.errors import StqError
        from stq_deploy.passes import Conversion, PostTraining

        low, high = self.input_range
        if not low < high < float("inf") or low == -float("inf"):
            raise StqError(f"--input-range {low:g} {high:g} is no range", next="give two numbers, the smaller first")
        if (self.post_training is None) != (self.calibrate is None):
            raise StqError(
                "--post-training and --calibrate belong together",
                next="give --post-training int8 --calibrate FILE.npz, a few hundred samples like those trained on",
            )
        if self.calibrate is None:
            return Conversion(self.input_range)
        return Conversion(self.input_range, PostTraining(load_samples(self.calibrate), self.ranges))


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
        help="Sample file (.npz) for --post-training; 1024, spread evenly, are looked at.",
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
        default=(0.0, 1.0),
        metavar="LOW HIGH",
        help="Values of the model's input that pixels 0 and 255 stand for, such as 0 255 or -1 1.",
    )
    @wraps(command)
    def wrapped(
        post_training: str | None, calibrate: Path | None, ranges: str, input_range: tuple[float, float], **others: Any
    ) -> None:
        command(conversion=ConversionOptions(post_training, calibrate, ranges, input_range), **others)

    return wrapped
