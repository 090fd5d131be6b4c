"""`stq-deploy zoo`: the trained models that come with the package."""

from __future__ import annotations

from pathlib import Path

import click

from stq_deploy.cli._names import ZOO_NAME


@click.command()
@click.argument("name", type=ZOO_NAME, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def zoo(name: str | None, as_json: bool) -> None:
    """List the trained models of this package, or show one's card.

    Every command takes them as a model: `--model zoo:NAME`.
    """
    from stq_deploy.cli._layout import light_table, print_table
    from stq_deploy.cli._screen import print_json, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.zoo.card import COLUMNS, model_card, table_row
    from stq_deploy.zoo.shipped import PREFIX, resolve_model, shipped_models

    models = shipped_models()
    if name is not None:
        name = name.removeprefix(PREFIX)
        if name not in models and Path(name).exists():
            raise StqError(
                "it is a file, and only models that come with stq-deploy have a card",
                where=name,
                next="`stq-deploy inspect FILE` shows a model file; `stq-deploy zoo` lists the models",
            )
        resolve_model(PREFIX + name)
        if as_json:
            print_json(models[name].record.to_json())
        else:
            _print_card(model_card(models[name]))
        return
    if as_json:
        print_json({"models": {name: model.record.to_json() for name, model in models.items()}})
        return
    table = light_table()
    for column in COLUMNS:
        # The first is what people copy.
        table.add_column(column, no_wrap=column == COLUMNS[0], overflow="fold")
    for model in models.values():
        table.add_row(*table_row(model))
    print_table(result_console(as_json), table)


def _print_card(card: str) -> None:
    """Print it formatted on a terminal, and as Markdown into a file or pipe."""
    from rich.markdown import Markdown

    from stq_deploy.cli._screen import result_console

    console = result_console(as_json=False)
    if console.is_terminal:
        console.print(Markdown(card))
    else:
        click.echo(card, nl=False)
