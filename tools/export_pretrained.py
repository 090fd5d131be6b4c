"""Make the shipped model files from finished training runs.

    python tools/export_pretrained.py RUN stq_deploy/zoo/pretrained/stq_cifar10_gray.h5 [--data FILE]

RUN is the --out folder of `stq-deploy train`. Writes the .h5 and a .json record beside it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Data file or folder, as for `stq-deploy train`.")
def main(run: Path, destination: Path, data: Path | None) -> None:
    """Write DESTINATION (.h5) and its .json from the finished training run in RUN."""
    from stq_deploy.errors import StqError
    from stq_deploy.training.pretrained import export_pretrained

    try:
        record = export_pretrained(run, destination, data)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    del record["history"]
    click.echo(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
