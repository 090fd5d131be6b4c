"""Prints a table of the accuracy that a network loses when one layer's kernel alone is quantized.

    python tools/layer_sensitivity.py [zoo:fp-cifar10] [--scheme ternary] [--data FILE]

Nothing is trained; only the batch-norm statistics are measured anew. Kernels take the scheme's quantizers. The first
convolution takes the quantizer of the other convolutions.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SEED = 0


def quantize_kernels(layer: Any, quantizer: Any) -> None:
    """Replace the kernels of `layer` by their quantized values."""
    layer.set_weights([np.asarray(quantizer(w)) if w.ndim > 1 else w for w in layer.get_weights()])


@click.command(context_settings={"show_default": True})
@click.argument("model", default="zoo:fp-cifar10")
@click.option("--scheme", default="ternary", help="Whose quantizers: its convolutions' and its dense layers'.")
@click.option("--data", type=click.Path(path_type=Path), help="CIFAR-10's file or folder.")
@click.option("--samples", default=1000, help="Test samples.")
@click.option("--statistics", default=1500, help="Training samples to measure the batch norms' statistics on.")
def main(model: str, scheme: str, data: Path | None, samples: int, statistics: int) -> None:
    """Print the top-1 accuracy of MODEL, a floating-point network, with each of its layers quantized by itself."""
    from tf_keras import layers

    from stq_deploy.common.errors import StqError
    from stq_deploy.datasets import load_dataset
    from stq_deploy.research.quantizers.factory import make_quantizer
    from stq_deploy.research.training.batch_norm import BatchNormEstimator
    from stq_deploy.research.training.evaluate import Evaluator
    from stq_deploy.research.training.source_model import read_model
    from stq_deploy.zoo.schemes import get_scheme

    try:
        network, texts, dataset = read_model(model).keras, get_scheme(scheme), load_dataset("cifar10", data)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    random = np.random.default_rng(SEED)
    train = random.permutation(len(dataset.x_train))[:statistics]
    test = random.permutation(len(dataset.x_test))[:samples]
    estimator, evaluator = BatchNormEstimator(network), Evaluator(network)
    kept = {layer.name: layer.get_weights() for layer in network.layers}
    click.echo("| quantized | by | top-1 |\n|---|---|---|")
    for name in (None, *(layer.name for layer in network.layers if any(w.ndim > 1 for w in layer.get_weights()))):
        for layer in network.layers:
            layer.set_weights(kept[layer.name])
        text = "-"
        if name is not None:
            layer = network.get_layer(name)
            text = str(texts.dense if isinstance(layer, layers.Dense) else texts.conv)
            quantize_kernels(layer, make_quantizer(text))
        estimator.estimate(dataset.x_train[train])
        accuracy = evaluator.accuracy(dataset.x_test[test], dataset.y_test[test])
        click.echo(f"| {name or 'nothing'} | `{text}` | {100 * accuracy:.1f} % |")


if __name__ == "__main__":
    main()
