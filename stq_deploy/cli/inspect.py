"""`stq-deploy inspect`: what is in a model file, without converting it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", default="zoo:stq-cifar10")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def inspect(model: str, as_json: bool) -> None:
    """Show MODEL as a table: a QKeras .h5 or .keras file, or a converted .stq network.

    Of a QKeras model every layer is listed, with what is wrong with those that cannot be converted. Needs no
    TensorFlow.  [default: the shipped network]
    """
    from stq_deploy.zoo.shipped import resolve_model

    path = resolve_model(model)
    if path.suffix.lower() == ".stq":
        _inspect_network(path, as_json)
    else:
        _inspect_model(path, as_json)


def _inspect_network(path: Path, as_json: bool) -> None:
    from stq_deploy.cli._network_tables import op_table, print_table
    from stq_deploy.cli._screen import print_json, result_console
    from stq_deploy.network import load_network
    from stq_deploy.network.summary import op_rows

    network = load_network(path)
    rows = op_rows(network)
    if as_json:
        print_json(
            {
                "file": str(path),
                "form": "stq",
                "model_hash": network.sha256(),
                "metadata": network.metadata,
                "ops": [row.to_json() for row in rows],
            }
        )
        return
    console = result_console(as_json)
    print_table(console, op_table(rows))
    console.print(f"model hash {network.sha256()}", soft_wrap=True)


def _inspect_model(path: Path, as_json: bool) -> None:
    from stq_deploy.cli._network_tables import layer_table, print_table
    from stq_deploy.cli._screen import print_json, result_console
    from stq_deploy.frontend import list_layers

    name, facts, rows = list_layers(path)
    problems = sum(bool(row.problem) for row in rows)
    floating = [row for row in rows if row.floating]
    if as_json:
        print_json(
            {
                "file": str(path),
                "form": facts["format"],
                "name": name,
                "sha256": facts["sha256"],
                "convertible_layers": len(rows) - problems,
                "floating_point_layers": len(floating),
                "layers": [row.to_json() for row in rows],
            }
        )
        return
    console = result_console(as_json)
    print_table(console, layer_table(rows))
    console.print(f"{len(rows) - problems} of {len(rows)} layers are supported", soft_wrap=True)
    if floating:
        what = f"{len(floating)} of them with post-training quantization: {floating[0].floating}"
        console.print(what, soft_wrap=True, markup=False, highlight=False)
