"""Prints how well ternary weights approximate a model's kernels, by how QKeras chooses their scale.

    python tools/ternary_scales.py [zoo:fp-cifar10]

Error is |q - w| / |w| of a whole kernel, in Euclidean norm; "zero" is the share of weights that become 0.
"""

from __future__ import annotations

import os
from typing import Any

import click
import numpy as np

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ALPHAS = ("auto_po2", "auto")


def fit(kernel: Any, alpha: str) -> tuple[float, float]:
    """Error and share of zeros of QKeras's ternary `kernel`."""
    import qkeras

    q = np.asarray(qkeras.ternary(alpha=alpha)(kernel))
    return float(np.linalg.norm(q - kernel) / np.linalg.norm(kernel)), float(np.mean(q == 0))


@click.command()
@click.argument("model", default="zoo:fp-cifar10")
def main(model: str) -> None:
    """Print a line for each kernel of MODEL that has an axis of space."""
    from stq_deploy.common.errors import StqError
    from stq_deploy.research.training.source_model import read_model

    try:
        source = read_model(model).keras
    except StqError as error:
        raise click.ClickException(str(error)) from error
    click.echo("| kernel | shape | " + " | ".join(f"error, {alpha} | zero, {alpha}" for alpha in ALPHAS) + " |")
    click.echo("|---|---|" + "---|" * 2 * len(ALPHAS))
    for layer in source.layers:
        for weight in layer.weights:
            if weight.shape.rank < 4:
                continue
            fits = [fit(weight.numpy(), alpha) for alpha in ALPHAS]
            cells = " | ".join(f"{error:.2f} | {100 * zero:.0f} %" for error, zero in fits)
            name = weight.name.removesuffix(":0")
            click.echo(f"| {name} | {'x'.join(map(str, weight.shape))} | {cells} |")


if __name__ == "__main__":
    main()
