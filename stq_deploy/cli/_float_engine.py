"""The option that chooses what computes the float model."""

from __future__ import annotations

import click

float_engine_option = click.option(
    "--float-engine",
    type=click.Choice(("auto", "keras", "numpy")),
    default="auto",
    help="What computes the float model: Keras in TensorFlow, or NumPy in float32; auto: Keras for its own models, "
    "where it is installed.",
)
