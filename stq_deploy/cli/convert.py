"""`stq-deploy convert`: a QKeras model becomes an integer network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import MODEL
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._output import force_option
from stq_deploy.cli._rewrites import RewriteOptions, rewrite_options
from stq_deploy.cli._task import task_options

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.evaluation.task import Stated
    from stq_deploy.network import Network


@click.command(context_settings={"show_default": True})
@click.argument("model", type=MODEL)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File to write: .stq, or .onnx.")
@click.option(
    "--to",
    type=click.Choice(("stq", "qonnx", "onnx")),
    default="stq",
    help="Write a network of this package; or its integers as an ONNX file, for viewers and other executors: with "
    "QONNX's quantizers, or with ONNX's operators alone. MODEL may then be a .stq file.",
)
@force_option
@task_options
@conversion_options
@rewrite_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def convert(
    model: str,
    out: Path,
    to: Literal["stq", "qonnx", "onnx"],
    force: bool,
    stated: Stated,
    conversion: ConversionOptions,
    rewrites: RewriteOptions,
    as_json: bool,
) -> None:
    """Turn MODEL, a .h5, .keras, .onnx or .tflite file, into an integer network; --to writes it as an ONNX file.

    Every layer's function from sum to output level is certified: for all sums that its weights and inputs allow,
    the integers equal the trained network's arithmetic. Prints the form of each. --post-training first quantizes
    a floating-point model; the certificates then hold for the quantized one. The file keeps what --task states about
    the model's output.

    A model that does not quantize its input needs --calibrate or --input-range, unless it takes pictures.
    """
    from stq_deploy.api.network import check_network_path, open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.network.summary import op_rows
    from stq_deploy.onnx_export import check_onnx_path
    from stq_deploy.zoo.shipped import resolve_model

    rewrites.check()
    keras = to == "stq"
    check = check_network_path if to == "stq" else check_onnx_path
    check(out, inputs=(resolve_model(model, keras=keras), conversion.calibrate), force=force)
    with interruptible("no file was written; the same command starts again"):
        with progress_bars() as progress:
            pipeline = rewrites.pipeline(conversion, progress, as_json)
            net = open_network(model, pipeline, keras=keras, stated=stated)
        if to == "stq":
            net.save(out, force=force)
        else:
            net.save_onnx(out, dialect=to, force=force)
    network = net.network
    say_assumed_input(network)
    if as_json:
        metadata = network.metadata.to_json()
        facts = {key: metadata.get(key) for key in ("name", "source", "converter", "classes", "dropped", "input")}
        rows = [row.to_json() for row in op_rows(network)]
        print_json({"file": str(out), "model_hash": network.sha256(), **facts, "ops": rows})
    else:
        console = result_console(as_json)
        _print(console, network, out)
        rewrites.print_effects(console, net)


def _print(console: Console, network: Network, out: Path) -> None:
    from stq_deploy.cli._input import describe_input
    from stq_deploy.cli._layout import print_table
    from stq_deploy.cli._network_tables import op_table
    from stq_deploy.frontend.errors import shown
    from stq_deploy.frontend.layer_table import half_precision_remark, undecided_remark
    from stq_deploy.network.summary import op_rows

    rows = op_rows(network)
    print_table(console, op_table(rows))
    console.print(describe_input(network), markup=False, highlight=False, soft_wrap=True)
    certified = [row.certificate for row in rows if row.certificate is not None]
    checked = sum(one.checked or 0 for one in certified)
    reachable = sum(one.accumulators or 0 for one in certified)
    console.print(f"certified: all {reachable:,} reachable sums, {checked:,} compared one by one", highlight=False)
    if checked < reachable:
        console.print("  (both sides of every step among them, which proves what lies between)", highlight=False)
    rounded = [(row.name, row.largest_error) for row in rows[:-1] if row.largest_error is not None]
    for name, error in rounded:
        console.print(f"  unquantized, so rounded to fixed point: {name}, error at most {error:.2g}", markup=False)
    if not rounded:
        console.print("  all layers before the logits are exact", highlight=False)
    console.print(f"  largest error of a logit: {rows[-1].largest_error or 0.0:.2g}", highlight=False)
    layers = network.metadata.layers or ()
    remarks = (
        half_precision_remark(layer.half_precision for layer in layers),
        undecided_remark((shown(layer.name), layer.undecided) for layer in layers),
    )
    for remark in filter(None, remarks):
        console.print(remark, markup=False, highlight=False)
    for dropped in network.metadata.dropped or ():
        console.print(f"left out: {dropped.layer} ({dropped.reason})", markup=False, highlight=False)
    console.print(f"wrote {out}, model hash {network.sha256()[:16]}", markup=False, highlight=False, soft_wrap=True)
