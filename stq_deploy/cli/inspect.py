"""`stq-deploy inspect`: the content of a model file, without a conversion."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._names import MODEL

if TYPE_CHECKING:
    from stq_deploy.frontend import InspectedLayer


@click.command()
@click.argument("model", type=MODEL, default="zoo:stq-cifar10")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def inspect(model: str, as_json: bool) -> None:
    """Show MODEL as a table: a Keras, TensorFlow Lite or ONNX file, or a converted .stq network.

    Lists every layer of a Keras model, with the reason for those that cannot be converted; bytes are those of the
    packed weights. Exit code 1 if a layer is not supported. Needs no TensorFlow.
    [default: the shipped network]
    """
    from stq_deploy.zoo.shipped import resolve_model

    path = resolve_model(model)
    if path.suffix.lower() == ".stq":
        _inspect_network(path, as_json)
    else:
        _inspect_model(path, as_json)


def _inspect_network(path: Path, as_json: bool) -> None:
    from stq_deploy.cli._input import describe_input
    from stq_deploy.cli._layout import print_table
    from stq_deploy.cli._network_tables import op_table
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
                "metadata": network.metadata.to_json(),
                "ops": [row.to_json() for row in rows],
            }
        )
        return
    console = result_console(as_json)
    print_table(console, op_table(rows))
    console.print(describe_input(network), markup=False, highlight=False, soft_wrap=True)
    console.print(f"model hash {network.sha256()}", soft_wrap=True)


def _inspect_model(path: Path, as_json: bool) -> None:
    from stq_deploy.cli._layout import print_table
    from stq_deploy.cli._network_tables import layer_table
    from stq_deploy.cli._screen import print_json, result_console
    from stq_deploy.common.errors import printable
    from stq_deploy.frontend import list_layers
    from stq_deploy.frontend.layer_table import half_precision_remark

    name, facts, rows = list_layers(path)
    verdict, convertible = _verdict(rows)
    if as_json:
        print_json(
            {
                "file": str(path),
                "form": facts.form,
                "format": facts.format,
                "writer": facts.writer,
                "writer_version": facts.version,
                "name": name,
                "sha256": facts.sha256,
                "layers": [row.to_json() for row in rows],
                "convertible_layers": sum(not row.problem for row in rows),
                "floating_point_layers": sum(bool(row.floating) for row in rows),
                "half_precision_layers": sum(bool(row.half_precision) for row in rows),
                "parameters": sum(row.parameters for row in rows),
                "macs": sum(row.macs for row in rows),
                "weight_bytes": sum(row.weight_bytes for row in rows),
                "convertible": convertible,
                "verdict": verdict,
            }
        )
    else:
        console = result_console(as_json)
        console.print(printable(str(facts)), soft_wrap=True, markup=False, highlight=False)
        print_table(console, layer_table(rows))
        half = half_precision_remark(row.half_precision for row in rows)
        for line in (*_remarks(rows), *([half] if half else []), verdict):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    sys.exit(0 if convertible else 1)


def _remarks(rows: Sequence[InspectedLayer]) -> Iterator[str]:
    """Reasons why layers are not supported, or only after a change; layers with the same reason together."""
    from stq_deploy.common.errors import printable
    from stq_deploy.frontend.layer_table import NOT_REACHED

    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason = row.problem or row.floating
        if reason and reason != NOT_REACHED:
            reasons.setdefault((row.type, reason), []).append(row.name)
    for (kind, reason), names in reasons.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield printable(f"{names[0]}{others} ({kind}): {reason}")


def _verdict(rows: Sequence[InspectedLayer]) -> tuple[str, bool]:
    """The last line, and whether the model can be converted as far as its layers show."""
    unsupported = sum(bool(row.problem) for row in rows)
    if unsupported:
        return f"cannot be converted: {len(rows) - unsupported} of {len(rows)} layers are supported", False
    floating = sum(bool(row.floating) for row in rows)
    if floating:
        return (
            f"can be converted with --post-training: {len(rows)} of {len(rows)} layers are supported, "
            f"{floating} of them as int8"
        ), True
    return f"can be converted: {len(rows)} of {len(rows)} layers are supported", True
