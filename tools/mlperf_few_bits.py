"""Post-training quantization of MLPerf Tiny's networks to 8, 4 and mixed bits: accuracy on samples apart, and flash.

The data folder is that of `tools/mlperf_tiny`. The folder `--more` holds, from mlcommons/tiny, vww_96_float.tflite and
ad01_fp32.tflite, and the benchmark's own test samples, made as its README says, as
  vww01.npz: x uint8 (N, 96, 96, 3), y (N,), 1 where there is a person;
  ad01.npz: x float32 (N, 200, 128), log-mel frames of a recording, y (N,), 1 for an anomaly.
No training samples of these two are here. So every fifth picture, and every fourth normal recording, calibrates, and is
left out of the score. The other two calibrate on training samples, as `tools/mlperf_tiny` says.

AD is scored by the area under the ROC curve of each recording's mean reconstruction error, the others by top-1. The
budget of mixed bits is half-way between the flash of int4 and int8. The C on the host computes the answers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, read_bounded, write_whole
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.numpy_float_model import NumpyFloatModel
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.lowering.after_training.method import WeightMethod
from stq_deploy.network import Network
from stq_deploy.pipeline import Conversion, CostBudget, PostTraining, load_any, open_source
from stq_deploy.pipeline.bit_costs import program_cost
from stq_deploy.program import plan_network
from tools import mlperf_tiny
from tools.figures_file import check_figures, write_figures
from tools.marked_block import replace_block

TOP = Path(__file__).resolve().parent.parent
NAME = "mlperf_few_bits"
PAGE = TOP / "docs" / "OWN_MODEL.md"
GRAY = 2000
"""Gray test images for ResNetV1, spread evenly, because the file is sorted by class."""
_FRAMES, _STEP = 5, 128
_FLASH = CostBudget("flash", 1)
Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A network and its samples.

    Attributes:
        model: the floating-point file.
        input_range: as `Conversion.input_range`.
        calibration, test: samples, none in both.
        calibrated_on: what the calibration samples are.
        score: real outputs (N, ...) of `test` -> percent.
        more: further test samples of the same kind, by name.
    """

    title: str
    model: Path
    input_range: tuple[float, float] | None
    calibration: SampleSet
    calibrated_on: str
    test: SampleSet
    measure: str
    score: Callable[[Values, SampleSet], float]
    more: dict[str, SampleSet] = field(default_factory=dict)


def _top1(outputs: Values, samples: SampleSet) -> float:
    return 100 * float((outputs.reshape(len(samples), -1).argmax(axis=1) == samples.y).mean())


def resnet(data: Path, more: Path) -> Benchmark:
    """ResNetV1 on CIFAR-10."""
    task = mlperf_tiny.resnet(data)
    assert task.conversion.post_training is not None
    model = data / "mlperf_tiny" / "pretrainedResnet.tflite"
    calibration = task.conversion.post_training.samples
    return Benchmark(
        "ResNetV1, 200 RGB images", model, (0.0, 255.0), calibration, "training images, gray", task.samples, "top-1",
        _top1, {f"ResNetV1, {GRAY:,} gray images": task.more["cifar10_gray"].spread(GRAY)},
    )  # fmt: skip


def ds_cnn(data: Path, more: Path) -> Benchmark:
    """DS-CNN on Speech Commands."""
    task = mlperf_tiny.ds_cnn(data)
    assert task.conversion.post_training is not None
    calibration = task.conversion.post_training.samples
    return Benchmark(
        "DS-CNN, 1,000 keywords", task.model, None, calibration, "training clips", task.samples, "top-1", _top1
    )


def mobilenet(data: Path, more: Path) -> Benchmark:
    """MobileNetV1 0.25 on Visual Wake Words."""
    x, y = mlperf_tiny.arrays_of(more / "vww01.npz", "x", "y")
    chosen = np.arange(len(x)) % 5 == 0
    calibration, test = (SampleSet(x[part], y[part].astype(np.int64)) for part in (chosen, ~chosen))
    return Benchmark(
        f"MobileNetV1 0.25, {len(test):,} pictures", more / "vww_96_float.tflite", None, calibration,
        "test pictures apart", test, "top-1", _top1,
    )  # fmt: skip


def autoencoder(data: Path, more: Path) -> Benchmark:
    """The autoencoder of AD on ToyADMOS."""
    x, y = mlperf_tiny.arrays_of(more / "ad01.npz", "x", "y")
    chosen = np.zeros(len(x), np.bool_)
    chosen[np.flatnonzero(y == 0)[::4]] = True
    anomalous, windows = y[~chosen].astype(np.bool_), len(_windows(x[0])[::4])

    def score(outputs: Values, samples: SampleSet) -> float:
        error = ((outputs.reshape(len(samples), -1) - samples.x) ** 2).mean(axis=1).reshape(-1, windows).mean(axis=1)
        return 100 * _area(error[anomalous], error[~anomalous])

    metadata = SampleMetadata(range=(-90, 20))
    inside = [
        np.concatenate([_windows(one[None])[::step] for one in x[part]]) for part, step in ((chosen, 10), (~chosen, 4))
    ]
    calibration, test = (SampleSet(part, np.zeros(len(part), np.int64), metadata) for part in inside)
    return Benchmark(
        f"AD autoencoder, {len(anomalous)} recordings", more / "ad01_fp32.tflite", None, calibration,
        "normal test recordings apart", test, "AUC", score,
    )  # fmt: skip


def _windows(x: Values) -> Values:
    """(windows, 640): five frames of a recording (frames, 128) side by side, at every frame."""
    flat = x.reshape(-1)
    return np.lib.stride_tricks.sliding_window_view(flat, _FRAMES * _STEP)[::_STEP]


def _area(above: Values, below: Values) -> float:
    """Area under the ROC curve: how often one of `above` exceeds one of `below`; a tie counts half."""
    difference = above[:, None] - below[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


BENCHMARKS = {"resnet": resnet, "ds_cnn": ds_cnn, "mobilenet": mobilenet, "autoencoder": autoencoder}
SCHEMES = ("int8", "int4 to the nearest", "int4", "mixed")


@click.command(context_settings={"show_default": True})
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False, exists=True), envvar="STQ_DEPLOY_DATA",
    help="Folder of models and samples.  [default: $STQ_DEPLOY_DATA]",
)  # fmt: skip
@click.option("--more", type=click.Path(path_type=Path, file_okay=False), help="Folder of the other two benchmarks.")
@click.option("--network", "networks", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Only these.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), default=TOP / "docs" / "figures" / f"{NAME}.json",
    help="File of the figures; it keeps those of other networks.",
)  # fmt: skip
@click.option("--page", is_flag=True, help="Measure nothing; write the figures into docs/OWN_MODEL.md.")
def main(data: Path | None, more: Path | None, networks: tuple[str, ...], json_path: Path, page: bool) -> None:
    """Measure MLPerf Tiny's networks after post-training quantization to 8, 4 and mixed bits."""
    try:
        check_figures(json_path)
        if not page:
            if data is None or more is None:
                raise StqError("the models and samples are in two folders", next="give them with --data and --more")
            for name in networks or BENCHMARKS:
                found = _measured(BENCHMARKS[name](data, more))
                write_figures(json_path, _stored(json_path) | {name: found})
        else:
            block = _table(_stored(json_path))
            write_whole(PAGE, replace_block(PAGE.read_text(), NAME, block))
    except StqError as error:
        raise click.ClickException(str(error)) from error


def _stored(path: Path) -> dict[str, Any]:
    return dict(json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))) if path.is_file() else {}


def _measured(benchmark: Benchmark) -> dict[str, Any]:
    """Scores and flash of every scheme, printed as they come."""
    source = open_source(benchmark.model)
    sets = {benchmark.title: benchmark.test} | benchmark.more
    floats = NumpyFloatModel(source)
    scores = {
        title: {"float": round(benchmark.score(floats.outputs(_values(benchmark, samples)), samples), 2)}
        for title, samples in sets.items()
    }
    flash: dict[str, int] = {}
    bits: list[dict[str, Any]] = []
    for scheme in SCHEMES:
        network = load_any(source, Conversion(benchmark.input_range, _post_training(benchmark, scheme, flash)))
        program = plan_network(network)
        flash[scheme] = program_cost(program, _FLASH)
        with HostExecutor(program) as host:
            for title, samples in sets.items():
                outputs = _reals(network, host.run(read_inputs(samples, network.input_format).levels)[0])
                scores[title][scheme] = round(benchmark.score(outputs, samples), 2)
        found = network.metadata.post_training
        if found is not None and found.weights is not None and found.weights.bits:
            bits = [dict(vars(row)) for row in found.weights.bits]
        click.echo(f"{benchmark.title}, {scheme}: {flash[scheme]:,} bytes, {scores}")
    return {
        "measure": benchmark.measure,
        "model": benchmark.model.name,
        "calibration": {"samples": len(benchmark.calibration), "are": benchmark.calibrated_on},
        "scores": scores,
        "flash_bytes": flash,
        "mixed_bits": bits,
    }


def _post_training(benchmark: Benchmark, scheme: str, flash: dict[str, int]) -> PostTraining:
    if scheme == "mixed":
        budget = CostBudget("flash", (flash["int8"] + flash["int4"]) // 2)
        return PostTraining(benchmark.calibration, scheme=scheme, budget=budget)
    method = WeightMethod() if scheme == "int4 to the nearest" else None
    return PostTraining(benchmark.calibration, scheme=scheme.split(maxsplit=1)[0], weights=method)


def _values(benchmark: Benchmark, samples: SampleSet) -> Values:
    """Samples as the floating-point model sees them."""
    x = samples.x.astype(np.float32)
    return x if samples.holds_features or benchmark.input_range is not None else x / np.float32(255)


def _reals(network: Network, levels: Values) -> Values:
    spec = network.tensors[network.outputs[0]]
    return np.asarray((levels.astype(np.float64) - spec.zero_point) * spec.scale)


def _table(figures: dict[str, Any]) -> str:
    """The figures as a table of Markdown."""
    lines = [
        "| network, test samples | measure | float | int8 | int4, to the nearest | int4 | mixed "
        "| flash of int8, int4, mixed | calibration samples |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in BENCHMARKS:
        if name in figures:
            found = figures[name]
            sizes = ", ".join(f"{found['flash_bytes'][scheme]:,}" for scheme in ("int8", "int4", "mixed"))
            seen = f"{found['calibration']['samples']:,} {found['calibration']['are']}"
            for title, scores in found["scores"].items():
                cells = " | ".join(f"{scores[scheme]:.1f}" for scheme in ("float", *SCHEMES))
                lines.append(f"| {title} | {found['measure']} | {cells} | {sizes} | {seen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
