"""Make the files that the demo ships from a pretrained QKeras model: the converted network and the sample files.

    python tools/make_demo_samples.py [--data FILE] [--samples 256] [--kind worst] [--model zoo:robust-stq-cifar10]

Reads stq_deploy/zoo/pretrained/stq-cifar10.keras, and writes the .stq beside it. The samples go to
stq_deploy/zoo/samples/. They are test images of CIFAR-10, as many of each class, and their FGSM, PGD, Square and
worst-case versions at Linf 8/255. The robust network gets clean and worst-case samples in a folder of its own.
"""

from __future__ import annotations

from dataclasses import replace
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
from stq_deploy.zoo.shipped import DEFAULT_MODEL, ROBUST_MODEL, resolve_model, robust_samples, shipped_samples

SEED = 0
MOST_BYTES = 2_000_000
"""All sample files together; they are part of the package."""


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="CIFAR-10's file or folder.")
@click.option("--samples", default=256, help="Samples of each kind.")
@click.option("--kind", "kinds", multiple=True, help="Make only this kind; several times.  [default: all]")
@click.option("--model", type=click.Choice([DEFAULT_MODEL, ROBUST_MODEL]), default=DEFAULT_MODEL)
@click.option("--square-queries", default=1000, help="Queries of the Square attack, per sample.")
def main(data: Path | None, samples: int, kinds: tuple[str, ...], model: str, square_queries: int) -> None:
    """Make the demo's converted network and sample files from the pretrained QKeras model."""
    try:
        _make(data, samples, kinds, model, square_queries)
    except StqError as error:
        raise click.ClickException(str(error)) from error


def _make(data: Path | None, samples: int, kinds: tuple[str, ...], name: str, square_queries: int) -> None:
    files = shipped_samples() if name == DEFAULT_MODEL else robust_samples()
    unknown = sorted(set(kinds) - set(files))
    if unknown or not files:
        raise StqError(f"{name} has no samples {', '.join(unknown)}", next=f"choose among {', '.join(files) or 'none'}")
    path = resolve_model(name, keras=True)
    source = open_source(path)  # read once, so that network and float model are of the same bytes
    network, model = load_any(source), FloatModel(source)
    save_network(network, path.with_suffix(".stq"))
    target = Target(model.keras, model.name, model.file_sha256, network.input_format, network.sha256())
    clean = _balanced(samples_of_dataset("cifar10", data), samples)
    pgd = {"max_iter": "50", "num_random_init": "5"}
    settings = {"fgsm": {}, "pgd": pgd, "square": {"max_iter": str(square_queries)}, "worst": {}}
    attacks = {CLEAN: None} | {name: get_attack(name).from_text(s) for name, s in settings.items()}
    for kind in kinds or files:
        made = craft(target, clean, attacks[kind], seed=SEED)
        files[kind].parent.mkdir(exist_ok=True)
        save_samples(made, files[kind])
        click.echo(f"{kind}: {files[kind].stat().st_size} bytes, right: {made.correct}")
    everything = [*shipped_samples().values(), *robust_samples().values()]
    total = sum(file.stat().st_size for file in everything if file.is_file())
    if total > MOST_BYTES:
        raise StqError(f"the sample files take {total} bytes, more than {MOST_BYTES}", next="make fewer samples")


def _balanced(test: SampleSet, count: int) -> SampleSet:
    """`count` samples, as many of each class as can be, in random order: any first part is a fair sample."""
    random = np.random.default_rng(SEED)
    classes = int(test.y.max()) + 1
    by_class = [random.permutation(np.flatnonzero(test.y == c))[: -(-count // classes)] for c in range(classes)]
    chosen = random.permutation(np.concatenate(by_class))[:count]
    metadata = replace(test.metadata, source_indices=tuple(int(i) for i in chosen))
    return SampleSet(test.x[chosen], test.y[chosen], metadata)


if __name__ == "__main__":
    main()
