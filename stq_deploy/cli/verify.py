"""`stq-deploy verify`: every layer's output, from every executor, must be the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._float_engine import float_engine_option
from stq_deploy.cli._kernels import KernelOptions, kernel_option
from stq_deploy.cli._names import EXECUTORS, MODEL
from stq_deploy.cli._task import task_options

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.common.progress import Progress
    from stq_deploy.evaluation.float_comparison import FloatComparison, FloatLayer
    from stq_deploy.evaluation.inputs import Inputs
    from stq_deploy.evaluation.layer_comparison import LayerComparison
    from stq_deploy.evaluation.quantization_noise import QuantizationNoise
    from stq_deploy.evaluation.task import Stated
    from stq_deploy.frontend.importer import ModelSource
    from stq_deploy.network import Network

    Floats = FloatComparison | QuantizationNoise

DEFAULT_EXECUTORS = "numpy,host,host-cortex-m7,host-sanitized,stm32h743,mps2-an500"


@click.command(context_settings={"show_default": True})
@click.option("--model", type=MODEL, default="zoo:stq-cifar10", help="A .stq network, a Keras model, or zoo:NAME.")
@click.option(
    "--executors",
    type=EXECUTORS,
    default=DEFAULT_EXECUTORS,
    help="Comma-separated. The others are compared with the first. numpy: the definition; host, "
    "host-cortex-m7: the generated C here, with either kernels; ...-sanitized: the same under sanitizers; "
    "a board's name: its firmware on an emulated board.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    help="Sample file (.npz).  [default: the extremes, noise, and shipped samples where they fit]",
)
@click.option("--limit", type=click.IntRange(min=1), default=4, help="Only the first N samples.")
@float_engine_option
@kernel_option
@task_options
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def verify(
    model: str,
    executors: str,
    samples: Path | None,
    limit: int,
    float_engine: str,
    kernels: KernelOptions,
    stated: Stated,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Compare every layer's output between NumPy, host C, sanitized C and emulated boards.

    Prints one row per layer, and the first layer, element and values that differ; exit code 1 if any does.
    For a QKeras model it also counts differences from float32 arithmetic, which are not errors.
    """
    from stq_deploy.api.network import open_network
    from stq_deploy.api.verification import compare_levels
    from stq_deploy.cli._input import outside_text, say_assumed_input
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.evaluation.float_engine import NAMES
    from stq_deploy.evaluation.inputs import read_inputs
    from stq_deploy.evaluation.task import scoring_of
    from stq_deploy.evaluation.verification_samples import verification_inputs
    from stq_deploy.executors.open_executor import why_not_here
    from stq_deploy.frontend.importer import half_precision_note
    from stq_deploy.pipeline import Pipeline

    names = _names(executors)
    asked = conversion.load()
    with progress_bars() as progress:
        net = open_network(model, kernels.applied(Pipeline(asked, progress=progress)))
        network, source = net.network, net.source
        say_assumed_input(network)
        if stated.task is not None:
            scoring_of(network, None, stated)  # an impossible comparison shows before anything is started
        inputs = verification_inputs(network, samples, limit)
        levels = inputs.levels
        reasons = {name: why_not_here(name) for name in names} if executors == DEFAULT_EXECUTORS else {}
        skipped = {name: reason for name, reason in reasons.items() if reason}
        found = compare_levels(net, levels, [name for name in names if name not in skipped], progress=progress)
    # Ranges are calibrated for samples such as these; noise and extremes would only show saturation.
    typical = asked.post_training.samples.spread(limit) if asked.post_training and samples is None else None
    seen = inputs if typical is None else read_inputs(typical, network.input_format)
    with progress_bars() as progress:
        floats, engine = _compare_with_float(source, network, seen, stated, float_engine, progress)
    console = result_console(as_json)
    _print(console, found, skipped, floats)
    if engine is not None:
        console.print(f"The float model is computed by {NAMES[engine]}.")
    note = half_precision_note(source)
    if note:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    console.print(f"{outside_text(inputs.outside, len(levels))}.")
    if as_json:
        print_json(
            _as_json(network, found, skipped, floats) | inputs.to_json() | {"float_engine": engine, "note": note}
        )
    sys.exit(1 if found.differing_layers else 0)


def _names(executors: str) -> list[str]:
    from stq_deploy.common.errors import StqError, no_such
    from stq_deploy.executors.open_executor import executor_names

    names = [name.strip() for name in executors.split(",")]
    unknown = [name for name in names if name not in executor_names()]
    if unknown:
        raise no_such(f"--executors {executors}: there is no {unknown[0]!r}", unknown[0], executor_names())
    if len(names) < 2 or len(set(names)) < len(names):
        raise StqError(
            f"--executors {executors}: two or more, each once", next=f"choose among {', '.join(executor_names())}"
        )
    return names


def _compare_with_float(
    source: ModelSource, network: Network, inputs: Inputs, stated: Stated, engine: str, progress: Progress
) -> tuple[Floats | None, str | None]:
    """The comparison and the engine that computed the float model; None for a .stq network."""
    from stq_deploy.common.progress import stage
    from stq_deploy.evaluation.float_comparison import compare_with_float
    from stq_deploy.evaluation.float_engine import open_float_model
    from stq_deploy.evaluation.quantization_noise import measure_noise
    from stq_deploy.frontend.model_file import ModelFile

    if not isinstance(source, ModelFile):
        return None, None
    compare = measure_noise if network.metadata.post_training is not None else compare_with_float
    with stage(progress, "comparing with the float model"):
        model = open_float_model(source, engine=engine)
        return compare(model, network, inputs, stated), model.engine


def _print(console: Console, found: LayerComparison, skipped: dict[str, str], floats: Floats | None) -> None:
    from rich.markup import escape

    from stq_deploy.cli._layout import light_table, print_table
    from stq_deploy.cli._screen import plain

    table = light_table(f"{found.samples} samples, compared with {found.reference}")
    for column in ("layer", "op", f"CRC ({found.reference})", *found.executors):
        table.add_column(escape(column))
    title, by_name, explanation = _float_column(floats)
    if floats is not None:
        table.add_column(title, justify="right")
    for row in found.rows:
        cells = [plain(row.name), row.op, f"{row.crc:08x}"]
        cells += [f"[red]{n} of {found.samples} differ[/red]" if n else "equal" for n in row.differing_samples.values()]
        if floats is not None:
            cells.append(by_name.get(row.name, ""))
        table.add_row(*cells)
    print_table(console, table)
    for difference in found.differences:
        console.print(plain(str(difference)), soft_wrap=True)
    for name, reason in skipped.items():
        console.print(f"Skipped {name}: {plain(reason)}", soft_wrap=True)
    if found.differing_layers == 0:
        console.print(f"Equal in all {len(found.rows)} layers.")
    if floats is not None:
        console.print(f"{floats.predictions} {explanation}", soft_wrap=True)
        console.print(f"Outputs are read as {floats.predictions.task}.", soft_wrap=True)


def _float_column(floats: Floats | None) -> tuple[str, dict[str, str], str]:
    """The table's last column: its title, its cell by layer, and its meaning."""
    from stq_deploy.evaluation import float_comparison, quantization_noise

    if floats is None:
        return "", {}, ""
    if isinstance(floats, quantization_noise.QuantizationNoise):
        ratios = {x.name: "" if x.decibels is None else f"{x.decibels:.1f} dB" for x in floats.layers}
        return "signal to quantization noise", ratios, quantization_noise.EXPLANATION
    counts = {layer.name: _differing(layer) for layer in floats.layers}
    return "float32 activations that differ", counts, float_comparison.EXPLANATION


def _differing(layer: FloatLayer) -> str:
    counts = {"rounding": layer.rounding, "inherited": layer.inherited, "unexplained": layer.unexplained}
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
    return f"{layer.differing:,} of {layer.total:,}" + (f" ({reasons})" if reasons else "")


def _as_json(
    network: Network, found: LayerComparison, skipped: dict[str, str], floats: Floats | None
) -> dict[str, Any]:
    import dataclasses

    return {
        "model_hash": network.sha256(),
        "samples": found.samples,
        "reference": found.reference,
        "executors": list(found.executors),
        "skipped": skipped,
        "differing_layers": found.differing_layers,
        "layers": [
            {
                "index": row.index,
                "name": row.name,
                "op": row.op,
                "crc32": f"{row.crc:08x}",
                "differing_samples": row.differing_samples,
            }
            for row in found.rows
        ],
        "differences": [dataclasses.asdict(difference) for difference in found.differences],
        "float": floats.to_json() if floats else None,
    }
