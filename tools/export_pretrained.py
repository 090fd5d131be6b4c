"""Make the shipped model files from finished training runs.

    python tools/export_pretrained.py RUN stq_deploy/zoo/pretrained/stq-cifar10.keras [--data FILE]

RUN is the --out folder of `stq-deploy train`. Writes the .keras, and beside it a .json record and the model card (.md).
For a network of the demo it also writes the converted network (.stq).
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stq_deploy.zoo.shipped import ShippedModel

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Data file or folder, as for `stq-deploy train`.")
@click.option(
    "--kernel-bits", type=click.IntRange(2, 24), default=8, show_default=True,
    help="Significant bits that kernels in floating point keep; the accuracy is measured with them.",
)  # fmt: skip
def main(run: Path, destination: Path, data: Path | None, kernel_bits: int) -> None:
    """Write DESTINATION (.keras), its record, network and card from the finished training run in RUN."""
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import check_output, write_whole
    from stq_deploy.research.training.pretrained import export_pretrained
    from stq_deploy.research.training.result import write_json
    from stq_deploy.zoo.card import model_card
    from stq_deploy.zoo.shipped import ShippedModel
    from tools.figures_file import check_model

    try:
        check_model(destination, run.glob("*"))
        for ending in (".json", ".stq", ".md"):
            check_output(
                destination.with_suffix(ending),
                what="a file of a model exported earlier",
                recognize=lambda _: destination.is_file(),
                inputs=run.glob("*"),
                force_option=False,
            )
        record = export_pretrained(run, destination, data, kernel_bits)
        shipped = ShippedModel(destination.stem, record, destination.parent)
        bits, digest = network_facts(shipped)
        shipped = replace(shipped, record=replace(record, weight_bits=bits, network_sha256=digest))
        write_json(destination.with_suffix(".json"), shipped.record)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    write_whole(shipped.card, model_card(shipped))
    stated = shipped.record.to_json()
    click.echo(json.dumps({name: value for name, value in stated.items() if name != "history"}, indent=2))


def network_facts(model: ShippedModel) -> tuple[tuple[int, ...], str | None]:
    """Bits of the weights and hash of a quantized model's network; writes the network (.stq) if the demo needs it."""
    from stq_deploy.network import save_network
    from stq_deploy.pipeline import convert_model
    from stq_deploy.zoo.shipped import CONVERTED, PREFIX

    if not model.record.config.quantization.quantized:
        return (), None
    network = convert_model(model.keras)
    if PREFIX + model.name in CONVERTED:
        save_network(network, model.network)
    return tuple(network.weight_bits), network.sha256()


if __name__ == "__main__":
    main()
