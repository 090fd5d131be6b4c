"""Make shipped model files as small as `tools/export_pretrained.py` does now, without their training runs.

    python tools/recompress_pretrained.py ds-cnn-speech-other-words... [--data FILE]

An .h5 file becomes a .keras archive of the same numbers, bit by bit. Figures that name the file by its SHA-256 in
docs/figures and the demo's samples then name the archive. A .keras archive is measured again on its whole test part.
Writes the archive, its record and its card. `tools/write_zoo_table` then writes the list.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if TYPE_CHECKING:
    from stq_deploy.zoo.shipped import ShippedModel

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path), help="Data file or folder, as for `stq-deploy train`.")
def main(names: tuple[str, ...], data: Path | None) -> None:
    """Rewrite the shipped models NAMES."""
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import write_whole
    from stq_deploy.research.training.pretrained import recompress, repack
    from stq_deploy.zoo.card import model_card
    from stq_deploy.zoo.shipped import ShippedModel, shipped_models

    for name in names:
        if name not in shipped_models():
            raise click.ClickException(f"no shipped model is called {name}")
        former = shipped_models()[name]
        old = former.record.model
        try:
            record = repack(former) if former.keras.suffix == ".h5" else recompress(former, data)
        except StqError as error:
            raise click.ClickException(str(error)) from error
        model = ShippedModel(name, record)
        write_whole(model.card, model_card(model))
        if former.keras != model.keras:
            rename_in_records(former, model)
        click.echo(
            f"{name}: {old.bytes:,} -> {model.record.model.bytes:,} bytes, "
            f"{old.test_right:,} -> {model.record.model.test_right:,} of {old.test_samples:,} right"
        )


def rename_in_records(former: ShippedModel, model: ShippedModel) -> None:
    """Let figures and samples that name the former file by its SHA-256 name the one of the same numbers."""
    from stq_deploy.common.files import write_whole
    from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
    from stq_deploy.zoo.shipped import shipped_samples

    before, after = former.record.model.sha256, model.record.model.sha256
    for path in sorted(FIGURES.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        if before in text:
            write_whole(path, text.replace(before, after))
            click.echo(f"{path.name}: {text.count(before)} times renamed")
    for path in shipped_samples().values():
        samples = load_samples(path)
        recorded = samples.metadata.float_model
        if recorded is not None and recorded.file_sha256 == before:
            metadata = dataclasses.replace(
                samples.metadata, float_model=dataclasses.replace(recorded, file_sha256=after)
            )
            save_samples(SampleSet(samples.x, samples.y, metadata), path)
            click.echo(f"{path.name}: renamed")


if __name__ == "__main__":
    main()
