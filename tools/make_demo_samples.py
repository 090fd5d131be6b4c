"""Make what the demo ships, from the pretrained QKeras model: the converted network and the sample files.

    python tools/make_demo_samples.py [--data FILE] [--samples 256] [--square-queries 1000]

Reads stq_deploy/zoo/pretrained/stq-cifar10.h5 and writes the .stq beside it. Writes to stq_deploy/zoo/samples/ test
images of CIFAR-10, equally many of each class, and their FGSM, PGD and Square versions at Linf 8/255.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import CLEAN, SampleSet, samples_of_dataset, save_samples
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.network import save_network
from stq_deploy.pipeline import load_any, open_source
from stq_deploy.research.attacks.craft import Target, craft
from stq_deploy.research.attacks.registry import get_attack
from stq_deploy.zoo.shipped import DEFAULT_MODEL, resolve_model, shipped_samples

SEED = 0
MOST_BYTES = 2_000_000
"""All sample files together; they are part of the package."""


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="CIFAR-10's file or folder.")
@click.option("--samples", default=256, help="Samples of each kind.")
@click.option("--square-queries", default=1000, help="Queries of the Square attack, per sample.")
def main(data: Path | None, samples: int, square_queries: int) -> None:
    """Make the demo's converted network and sample files from the pretrained QKeras model."""
    try:
        _make(data, samples, square_queries)
    except StqError as error:
        raise click.ClickException(str(error)) from error


def _make(data: Path | None, samples: int, square_queries: int) -> None:
    path = resolve_model(DEFAULT_MODEL, keras=True)
    source = open_source(path)  # read once, so that network and float model are of the same bytes
    network, model = load_any(source), FloatModel(source)
    save_network(network, path.with_suffix(".stq"))
    target = Target(model.keras, model.name, model.file_sha256, network.input_format, network.sha256())
    clean = _balanced(samples_of_dataset("cifar10", data), samples)
    pgd = {"max_iter": "50", "num_random_init": "5"}
    settings = {"fgsm": {}, "pgd": pgd, "square": {"max_iter": str(square_queries)}}
    attacks = {CLEAN: None} | {name: get_attack(name).from_text(s) for name, s in settings.items()}
    total = 0
    for name, file in shipped_samples().items():
        made = craft(target, clean, attacks[name], seed=SEED)
        save_samples(made, file)
        total += file.stat().st_size
        click.echo(f"{name}: {file.stat().st_size} bytes, right: {made.metadata['float_model']['correct']}")
    if total > MOST_BYTES:
        raise StqError(f"the sample files take {total} bytes, more than {MOST_BYTES}", next="make fewer samples")


def _balanced(test: SampleSet, count: int) -> SampleSet:
    """`count` samples, as many of each class as can be, in random order: any first part is a fair sample."""
    random = np.random.default_rng(SEED)
    classes = int(test.y.max()) + 1
    by_class = [random.permutation(np.flatnonzero(test.y == c))[: -(-count // classes)] for c in range(classes)]
    chosen = random.permutation(np.concatenate(by_class))[:count]
    metadata = test.metadata | {"source_indices": [int(i) for i in chosen]}
    return SampleSet(test.x[chosen], test.y[chosen], metadata)


if __name__ == "__main__":
    main()
