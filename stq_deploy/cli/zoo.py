"""`stq-deploy zoo`: the trained models that come with the package."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def zoo(name: str | None, as_json: bool) -> None:
    """List the trained models of this package, or show one's card.

    Every command takes them as a model: `--model zoo:NAME`.
    """
    from rich.table import Table

    from stq_deploy.cli._screen import print_json, result_console
    from stq_deploy.zoo.card import accuracy_text, model_card, network_text
    from stq_deploy.zoo.schemes import get_scheme
    from stq_deploy.zoo.shipped import PREFIX, resolve_model, shipped_models

    models = shipped_models()
    if name is not None:
        name = name.removeprefix(PREFIX)
        resolve_model(PREFIX + name)
        if as_json:
            print_json(models[name].record)
        else:
            click.echo(model_card(models[name]), nl=False)
        return
    if as_json:
        print_json({"models": {name: model.record for name, model in models.items()}})
        return
    table = Table()
    table.add_column("model", no_wrap=True)  # what people copy
    for column in ("network", "scheme", "data set", "top-1 on its test part", "bytes"):
        table.add_column(column, overflow="fold")
    for model in models.values():
        config = model.record["config"]
        table.add_row(
            PREFIX + model.name, network_text(config), get_scheme(config["scheme"]).title,
            config["dataset"], accuracy_text(model.record), f"{model.record['bytes']:,}",
        )  # fmt: skip
    result_console(as_json).print(table)
