"""Put a robustness run's figures into a shipped model's record and card.

    stq-deploy robustness zoo:robust-fp-cifar10 --preset quick --out RUN
    python tools/record_robustness.py RUN robust-fp-cifar10 --target clean=72 --target 8/255=34

RUN must be of this very file. Each target is a percentage; the card says whether it is met.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, is_record, read_bounded, write_whole
from stq_deploy.evaluation.robustness.record import FORMAT
from stq_deploy.zoo.card import model_card
from stq_deploy.zoo.run_record import WorstCaseRecord
from stq_deploy.zoo.shipped import ShippedModel, shipped_models

SERIES = "Linf"


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name")
@click.option("--target", "targets", multiple=True, metavar="BUDGET=PERCENT", help="What the network was to reach.")
def main(run: Path, name: str, targets: tuple[str, ...]) -> None:
    """Write the figures of RUN into the record and the card of the shipped model NAME."""
    try:
        model = with_figures(shipped_models()[name], run / "robustness.json", dict(t.split("=") for t in targets))
    except (StqError, KeyError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    write_whole(model.keras.with_suffix(".json"), json.dumps(model.record.to_json(), indent=2) + "\n")
    write_whole(model.card, model_card(model))
    click.echo(json.dumps(model.record.to_json()["robustness"], indent=1))


def with_figures(model: ShippedModel, path: Path, targets: dict[str, str]) -> ShippedModel:
    """The model with the worst case of the run's Linf series in its record.

    Raises:
        StqError: the file is not the record of a robustness run, or is of another model file.
    """
    if not is_record(path, FORMAT):
        raise StqError("the file is not the record of a robustness run", where=str(path))
    found: dict[str, Any] = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    if found["model_sha256"] != model.record.model.sha256:
        raise StqError(
            f"the run attacked another file than {model.keras.name}",
            where=str(path),
            next=f"attack it: stq-deploy robustness zoo:{model.name}",
        )
    rows = next(series["rows"] for series in found["series"] if series["name"] == SERIES)
    robustness = WorstCaseRecord(
        preset=found["preset"]["name"],
        samples=found["samples"],
        clean=found["clean"]["correct"],
        worst={row["eps"]: row["integer"]["correct"] for row in rows},
        targets={budget: float(percent) for budget, percent in targets.items()},
    )
    return replace(model, record=replace(model.record, robustness=robustness))


if __name__ == "__main__":
    main()
