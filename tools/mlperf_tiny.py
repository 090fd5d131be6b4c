"""MLPerf Tiny's models: ours beside the publishers'.

ResNetV1 and DS-CNN are quantized after training and run on the emulated board: accuracy beside the references. The
published int8 files are also read as they are. Their levels must equal TensorFlow Lite's reference interpreter's in
every byte; its other kernels round otherwise, and the bytes that then differ are counted.

The data folder holds, under the names that their publishers gave them,
  mlperf_tiny/pretrainedResnet.h5, pretrainedResnet_quant.tflite, kws_ref_model_float32.tflite, kws_ref_model.tflite
      (mlcommons/tiny), and the test samples of image classification and keyword spotting as ic01_perf_rgb.npz (x uint8
      (N, 32, 32, 3), y) and kws01_mfcc_int8.npz (x int8 (N, 49, 10) on the int8 model's input grid, y);
  cifar10_gray.npz and gsc12_mfcc.npz: calibration samples, none of them among the test samples.
`--more` names a folder with vww_96_int8.tflite and ad01_int8.tflite (mlcommons/tiny), whose own samples are not here.
They get CIFAR-10's test pictures, three times as large, and random levels.

ResNetV1 was trained on RGB images, of which only the 200 test samples are available here. So it is calibrated on gray
training images, with their one channel three times, and also scored on the gray test images. Calibration takes the
defaults of `stq-deploy convert`. Its samples are drawn once, with a fixed seed, from all training samples.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.board_run import SampleFile, run_files
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.scores import Accuracy, Classes, classes_of, mismatches
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.frontend.float_graph_reader import read_float_graph
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.lowering.structure import find_ending
from stq_deploy.network import Network
from stq_deploy.network.ops import RequantizedOp
from stq_deploy.network.reference import run as run_in_numpy
from stq_deploy.pipeline import Conversion, PostTraining, load_any, open_source
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from tools import tflite_interpreter as tflite
from tools.figures_file import check_figures, write_figures

CALIBRATION = 256
ALLOWED_POINTS = 0.5
FLOAT, REFERENCE, NUMPY, HOST = "float", "reference int8", "NumPy", "host C"
BOARD = "stm32h743"
EMULATED = f"emulated {BOARD}"
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Task:
    """One benchmark.

    Attributes:
        model: Keras or .tflite file. conversion: how it becomes a network.
        samples: to score on, on the board as well. more: sets to score on in C on the host alone, by name.
        int8: the reference .tflite file.
    """

    name: str
    model: Path
    conversion: Conversion
    samples: SampleSet
    more: dict[str, SampleSet]
    int8: Path


@click.command(context_settings={"show_default": True})
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False, exists=True), envvar="STQ_DEPLOY_DATA", required=True,
    help="Folder of models and samples.  [default: $STQ_DEPLOY_DATA]",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the figures to this file.")
@click.option("--gray", default=10_000, help="Gray test images for ResNetV1.")
@click.option("--ranges", default="mse", help="Ranges of activations, mse or minmax.")
@click.option(
    "--more", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Folder of further int8 files."
)
def main(data: Path, json_path: Path | None, gray: int, ranges: str, more: Path | None) -> None:
    """Score MLPerf Tiny's models in int8, on the emulated STM32H743 and beside TensorFlow Lite."""
    try:
        check_figures(json_path)
        published = {file.path.name: _as_published(file) for file in _published(data, more)}
        with tempfile.TemporaryDirectory(prefix="stq-mlperf-") as folder:
            tasks = (resnet(data, gray, ranges), ds_cnn(data, ranges))
            found = {task.name: _score(task, Path(folder)) for task in tasks}
    except StqError as error:
        raise click.ClickException(str(error)) from error
    if json_path is not None:
        write_figures(json_path, {"published_int8": published, **found})
    scored = [part for result in found.values() for part in (result, *result["more"].values())]
    worst = max(abs(part["points_from_reference"]) for part in scored)
    differing = sum(result["board_mismatches"] + result["host_mismatches"] for result in found.values())
    click.echo(f"At most {worst:.1f} points from the int8 references; logits that differ from NumPy's: {differing}.")
    unequal = sum(row["bytes_differing_from_reference_kernels"] for row in published.values())
    click.echo(f"Bytes of the published int8 models that differ from TensorFlow Lite's reference kernels: {unequal}.")
    sys.exit(1 if worst > ALLOWED_POINTS or differing or unequal else 0)


@dataclass(frozen=True, eq=False)
class Published:
    """An int8 file that is read as it is.

    Attributes:
        x: int8 (N, *input shape), levels of its input. y: (N,), or None where no labels are known.
        samples: what the samples are.
    """

    path: Path
    x: npt.NDArray[np.int8]
    y: Classes | None
    samples: str


def _published(data: Path, more: Path | None) -> Iterator[Published]:
    folder = data / "mlperf_tiny"
    words, labels = arrays_of(folder / "kws01_mfcc_int8.npz", "x", "y")
    yield Published(folder / "kws_ref_model.tflite", words[..., None], labels, "its own")
    pictures, classes = arrays_of(folder / "ic01_perf_rgb.npz", "x", "y")
    levels = (pictures.astype(np.int16) - 128).astype(np.int8)
    yield Published(folder / "pretrainedResnet_quant.tflite", levels, classes, "its own")
    if more is None:
        return
    large = levels[:50].repeat(3, axis=1).repeat(3, axis=2)
    yield Published(more / "vww_96_int8.tflite", large, None, "CIFAR-10's test pictures, three times as large")
    drawn = np.random.default_rng(0).integers(-128, 128, (200, 640)).astype(np.int8)
    yield Published(more / "ad01_int8.tflite", drawn, None, "random levels")


def _as_published(file: Published) -> dict[str, Any]:
    """A published file against both kinds of TensorFlow Lite's kernels, printed as a row."""
    network, content = load_any(open_source(file.path)), file.path.read_bytes()
    with HostExecutor(plan_network(network)) as host:
        ours = host.run(file.x)[0].reshape(len(file.x), -1)
    flat = (len(file.x), -1)
    theirs = tflite.run(content, file.x, reference=True, before_softmax=True).reshape(flat)
    other = tflite.run(content, file.x).reshape(flat)
    # These kernels allow no look at the numbers before the softmax, so only the classes are compared.
    numpy_differs = int((run_in_numpy(network, file.x[:20]).reshape(20, -1) != ours[:20]).sum())
    found = {
        "samples": len(file.x),
        "samples_are": file.samples,
        "bytes": int(ours.size),
        "bytes_differing_from_reference_kernels": int((ours != theirs).sum()) + numpy_differs,
        "predictions_differing_from_other_kernels": int((ours.argmax(1) != other.argmax(1)).sum()),
        "requantizations": _requantizations(network),
        "model_hash": network.sha256(),
        "macs": sum(count for _, count in network.macs()),
    }
    if file.y is not None:
        found["right"] = int((ours.argmax(1) == file.y).sum())
        found["right_by_tensorflow_lite"] = int((theirs.argmax(1) == file.y).sum())
    click.echo(
        f"{file.path.name}: {found['samples']} samples ({file.samples}), {found['bytes']:,} bytes, "
        f"{found['bytes_differing_from_reference_kernels']} differ from the reference kernels, "
        f"{found['predictions_differing_from_other_kernels']} predictions from the other kernels"
        + (
            f"; right: {found['right']}, TensorFlow Lite {found['right_by_tensorflow_lite']}"
            if "right" in found
            else ""
        )
    )
    return found


def _requantizations(network: Network) -> dict[str, int]:
    """Form -> number of ops that have it."""
    kinds = [op.requantize.kind for op in network.ops if isinstance(op, RequantizedOp)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def resnet(data: Path, gray: int = 10_000, ranges: str = "mse") -> Task:
    """ResNetV1 of the data folder, quantized after training."""
    folder = data / "mlperf_tiny"
    x, y = arrays_of(folder / "ic01_perf_rgb.npz", "x", "y")
    images = load_dataset("cifar10", data)
    drawn = _drawn(np.arange(len(images.x_train)))
    calibration = SampleSet(_rgb(images.x_train[drawn]), images.y_train[drawn].astype(np.int64))
    return Task(
        "resnet_v1",
        folder / "pretrainedResnet.h5",
        Conversion((0.0, 255.0), PostTraining(calibration, ranges)),
        SampleSet(x, y.astype(np.int64)),
        {"cifar10_gray": SampleSet(_rgb(images.x_test[:gray]), images.y_test[:gray].astype(np.int64))},
        folder / "pretrainedResnet_quant.tflite",
    )


def _drawn(training: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which samples to calibrate on. The files are sorted by class, so the first ones would be of one class."""
    return np.random.default_rng(0).permutation(training)[:CALIBRATION]


def _rgb(gray: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.repeat(gray, 3, axis=-1).astype(np.uint8)


def ds_cnn(data: Path, ranges: str = "mse") -> Task:
    """DS-CNN of the data folder, quantized after training."""
    folder = data / "mlperf_tiny"
    reference = folder / "kws_ref_model.tflite"
    scale, zero_point = tflite.input_grid(reference.read_bytes())
    x, y = arrays_of(folder / "kws01_mfcc_int8.npz", "x", "y")
    features = (x[..., None].astype(np.float32) - zero_point) * np.float32(scale)
    mfcc, split = arrays_of(data / "gsc12_mfcc.npz", "x", "split")
    drawn = _drawn(np.flatnonzero(split == 0))
    # The features' range is known beforehand: that of the reference's grid, and of all clips.
    ends = [(level - zero_point) * scale for level in (-128, 127)]
    spanned = min(float(mfcc.min()), *ends), max(float(mfcc.max()), *ends)
    calibration = _features(mfcc[drawn][..., None].astype(np.float32), np.zeros(CALIBRATION, np.int64), spanned)
    return Task(
        "ds_cnn",
        folder / "kws_ref_model_float32.tflite",
        Conversion(post_training=PostTraining(calibration, ranges)),
        _features(features, y.astype(np.int64), spanned),
        {},
        reference,
    )


def _features(x: Values, y: Classes, spanned: tuple[float, float]) -> SampleSet:
    return SampleSet(x, y, SampleMetadata(range=spanned))


def arrays_of(path: Path, *names: str) -> Iterator[npt.NDArray[Any]]:
    """The arrays of these names in an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            yield from [file[name] for name in names]
    except (OSError, KeyError, ValueError) as error:
        raise StqError(f"it cannot be read ({error})", where=str(path), next="give the folder with --data") from error


def _score(task: Task, folder: Path) -> dict[str, Any]:
    """All accuracies of one task, printed as they come."""
    source, board = open_source(task.model), load_board(BOARD)
    network = load_any(source, task.conversion)
    macs = sum(count for _, count in network.macs())
    click.echo(f"{task.name}: {macs:,} multiply-accumulates")
    firmware = build_afresh(plan_network(network), board, folder / task.name)
    floats = _float_model(task)
    file = SampleFile(task.name, task.samples)
    summary = run_files(board, firmware, [file], folder / task.name, port=None, boards=os.cpu_count() or 1)
    (comparison,) = summary.comparisons
    with HostExecutor(plan_network(network)) as host:
        shown, host_logits = _score_on_host(task, host, floats, task.samples)
        shown.add(NUMPY, classes_of(comparison.reference))
        shown.add(EMULATED, classes_of(comparison.board))
        click.echo(
            f"  flash {firmware.flash_bytes:,} bytes, RAM {firmware.ram_bytes:,} bytes, "
            f"{summary.per_inference:,} instructions per inference"
        )
        more = {}
        for name, samples in task.more.items():
            click.echo(f"  {name}, {len(samples):,} samples:")
            more[name] = _score_on_host(task, host, floats, samples)[0].to_json(HOST)
    return {
        **shown.to_json(EMULATED),
        "board_mismatches": len(comparison.differing_logits),
        "host_mismatches": len(mismatches(host_logits, comparison.reference)),
        "more": more,
        "model_hash": network.sha256(),
        "post_training": network.metadata.post_training and network.metadata.post_training.to_json(),
        "input_range": list(network.input_range),
        "macs": macs,
        "compiler": firmware.compiler_version,
        "flash_bytes": firmware.flash_bytes,
        "ram_bytes": firmware.ram_bytes,
        "stack_bytes": firmware.stack_bytes,
        "instructions_per_inference": summary.per_inference,
    }


def _float_model(task: Task) -> Callable[[Values], Values]:
    """The float model's logits or probabilities."""
    if task.model.suffix == ".h5":
        predict = FloatModel(open_source(task.model), task.conversion).keras.predict
        return lambda values: np.asarray(predict(values, batch_size=128, verbose=0))
    graph = read_float_graph(task.model)
    logits = find_ending(graph, graph.outputs[0]).logits

    def run(values: Values) -> Values:
        return np.concatenate([dict(run_graph(graph, values[i : i + 100]))[logits] for i in range(0, len(values), 100)])

    return run


class _Shown:
    """Predictions by executor, each printed when it is known; the float model's come first."""

    def __init__(self, y: Classes) -> None:
        self.y = y
        self.classes: dict[str, Classes] = {}
        self.accuracies: dict[str, Accuracy] = {}

    def add(self, name: str, classes: Classes) -> None:
        self.classes[name], self.accuracies[name] = classes, Accuracy.of(classes, self.y)
        flips = "" if name == FLOAT else f", {self._differing(name, FLOAT)} differ from the float model"
        click.echo(f"  {name:20} {self.accuracies[name]}{flips}")

    def to_json(self, ours: str) -> dict[str, Any]:
        """What there is, and how far the executor named `ours` is from both references, in points of accuracy."""
        shares = {name: accuracy.share for name, accuracy in self.accuracies.items()}
        return {
            "samples": len(self.y),
            "accuracy": {name: accuracy.to_json() for name, accuracy in self.accuracies.items()},
            "predictions_differing_from_float": {name: self._differing(name, FLOAT) for name in self.classes},
            "predictions_differing_from_reference": {name: self._differing(name, REFERENCE) for name in self.classes},
            "points_from_float": round(100 * (shares[ours] - shares[FLOAT]), 3),
            "points_from_reference": round(100 * (shares[ours] - shares[REFERENCE]), 3),
        }

    def _differing(self, a: str, b: str) -> int:
        return len(mismatches(self.classes[a], self.classes[b]))


def _score_on_host(
    task: Task, host: HostExecutor, floats: Callable[[Values], Values], samples: SampleSet
) -> tuple[_Shown, npt.NDArray[Any]]:
    """The float model, the int8 reference, and the network in C on the host, whose logits (N, K) come besides."""
    shown, inputs = _Shown(samples.y), read_inputs(samples, host.program.network.input_format)
    # The float model sees the samples themselves, the reference their places on its own grid: not the network's levels.
    values = inputs.values
    shown.add(FLOAT, classes_of(floats(values)))
    reference = task.int8.read_bytes()
    scale, zero_point = tflite.input_grid(reference)
    levels = np.clip(np.rint(values / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
    shown.add(REFERENCE, classes_of(tflite.run(reference, levels)))
    logits = host.run(inputs.levels)[0]
    shown.add(HOST, classes_of(logits))
    return shown, logits


if __name__ == "__main__":
    main()
