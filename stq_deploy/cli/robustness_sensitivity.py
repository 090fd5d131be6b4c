"""`stq-deploy robustness-sensitivity`: how sensitive each layer is to adversarial noise, and bits by layer from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import DATA_SET, MODEL, SCHEME
from stq_deploy.cli._output import force_option

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.evaluation.robustness.sensitivity import Sensitivity

FORMAT = "stq-sensitivity"


@click.command(context_settings={"show_default": True})
@click.argument("model", type=MODEL)
@click.option("--samples", "limit", type=click.IntRange(min=1), default=1000, help="How many samples.")
@click.option("--dataset", type=DATA_SET, default="cifar10", help="Test samples of this data set.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--sample-file", type=click.Path(path_type=Path), help="Samples of this file (.npz) instead.")
@click.option("--eps", default="8/255", help="Length of the one step, in parts of the pixels' range.")
@click.option("--initial-bits", type=click.IntRange(2, 32), default=16, help="Bits of a layer that is not sensitive.")
@click.option("--base", type=SCHEME, default="8bit", help="Scheme of what keeps its bits, for --scheme-out.")
@click.option(
    "--scheme-out",
    type=click.Path(path_type=Path),
    help="Write the bits by layer here, for `train --scheme FILE.toml`.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write all figures here (.json).")
@conversion_options
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def robustness_sensitivity(
    model: str,
    limit: int,
    dataset: str,
    data: Path | None,
    sample_file: Path | None,
    eps: str,
    initial_bits: int,
    base: str,
    scheme_out: Path | None,
    out: Path | None,
    conversion: ConversionOptions,
    force: bool,
    as_json: bool,
) -> None:
    """Measure how much adversarial noise changes each layer's activations, and propose bits by layer from it.

    MODEL is a Keras or QKeras model, or zoo:NAME. One step of FGSM makes the noise. The more sensitive a layer, the
    fewer bits it gets, after QUANOS (Panda 2020); docs/ROBUSTNESS.md states which parts are verified.
    """
    from stq_deploy import __version__
    from stq_deploy.cli._input import say_assumed_pixels
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import check_output, is_record, write_whole
    from stq_deploy.common.progress import stage
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.robustness.sensitivity import FUNCTION, measure, scheme_text
    from stq_deploy.evaluation.task import check_attackable
    from stq_deploy.research.attacks.fgsm import Fgsm
    from stq_deploy.zoo.scheme_file import SchemeFile, is_scheme_file
    from stq_deploy.zoo.shipped import resolve_model

    step = Fgsm.from_text({"eps": eps}).eps
    SchemeFile.of_base(base)
    if out is not None:
        check_output(out, what="a result", recognize=lambda path: is_record(path, FORMAT), force=force)
    if scheme_out is not None:
        check_output(scheme_out, what="a scheme", recognize=is_scheme_file, force=force)
    source, samples = chosen_samples(None if sample_file else dataset, data, sample_file, limit)
    if samples.holds_features:
        raise StqError("the samples are features, and the step is in pixels", where=source, next="choose pictures")
    with progress_bars() as progress, stage(progress, "measuring the layers"):
        opened = FloatModel(resolve_model(model, keras=True), conversion.load())
        check_attackable(opened.output_format)
        found = measure(opened, samples.x, samples.classes(), step, initial_bits)
    say_assumed_pixels(opened, samples)
    if not found:
        raise StqError(
            "the model has no layer with a kernel", where=model, next="choose a model with convolutions or dense layers"
        )
    record = {
        "format": FORMAT,
        "stq_deploy": __version__,
        "model": opened.name,
        "file_sha256": opened.file_sha256,
        "source": source,
        "samples": len(samples),
        "eps": step,
        "ans": "mean of |a(attacked) - a(clean)|_2 / |a(clean)|_2",
        "initial_bits": initial_bits,
        "bits": FUNCTION,
        "layers": [vars(one) for one in found],
    }
    if scheme_out is not None:
        title = f"Bits by adversarial noise sensitivity of {opened.name}, {len(samples)} samples of {source}"
        write_whole(scheme_out, scheme_text(found, base, title))
    if out is not None:
        write_whole(out, json.dumps(record, indent=1) + "\n")
    if as_json:
        print_json(record)
        return
    _print(result_console(as_json), found, f"{opened.name}: {len(samples)} samples of {source}, one step of {eps}")


def _print(console: Console, found: list[Sensitivity], title: str) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("layer", "measured at"):
        table.add_column(name)
    for name in ("ANS", "change", "bits"):
        table.add_column(name, justify="right")
    for one in found:
        bits = "as the base" if one.bits is None else str(one.bits)
        table.add_row(one.layer, one.measured_at, f"{one.ans:.4f}", f"{one.change:.4g}", bits)
    console.print(table)
