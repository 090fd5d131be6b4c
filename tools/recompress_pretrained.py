"""Make shipped model files as small as `tools/export_pretrained.py` would now, without their training runs.

    python tools/recompress_pretrained.py ds-cnn-speech-other-words... [--data FILE]

Measures each again on its whole test part, and writes its .h5, record and card.
Not for stq-cifar10: the demo's samples know its file by hash (`tools/make_demo_samples.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

import click

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path), help="Data file or folder, as for `stq-deploy train`.")
def main(names: tuple[str, ...], data: Path | None) -> None:
    """Rewrite the shipped models NAMES."""
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import write_whole
    from stq_deploy.research.training.pretrained import recompress
    from stq_deploy.zoo.card import model_card
    from stq_deploy.zoo.shipped import ShippedModel, shipped_models

    for name in names:
        if name not in shipped_models():
            raise click.ClickException(f"no shipped model is called {name}")
        old = shipped_models()[name].record
        try:
            model = ShippedModel(name, recompress(shipped_models()[name], data))
        except StqError as error:
            raise click.ClickException(str(error)) from error
        write_whole(model.card, model_card(model))
        click.echo(
            f"{name}: {old['bytes']:,} -> {model.record['bytes']:,} bytes, "
            f"{old['test_right']:,} -> {model.record['test_right']:,} of {old['test_samples']:,} right"
        )


if __name__ == "__main__":
    main()
