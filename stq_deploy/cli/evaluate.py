"""`stq-deploy evaluate`: accuracy of a model on a data set or sample file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import BOARD, DATA_SET, MODEL

if TYPE_CHECKING:
    from stq_deploy.datasets.samples import SampleSet
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.scores import Classes
    from stq_deploy.passes import Conversion

    Predictor = Callable[[SampleSet, Callable[[int], None]], "_Predictions"]

EXECUTORS = ("float", "numpy", "host", "emulated")


@click.command(context_settings={"show_default": True})
@click.option("--model", type=MODEL, default="zoo:stq-cifar10", help="A .stq network, a Keras model, or zoo:NAME.")
@click.option("--dataset", type=DATA_SET, help="Score on the test samples of this data set, such as cifar10.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--samples", type=click.Path(path_type=Path), help="Score on this sample file (.npz).")
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="host",
    help="float: the Keras model in TensorFlow; numpy: the integer reference; host: the generated C here; "
    "emulated: the firmware on an emulated board.",
)
@click.option("--board", type=BOARD, default="stm32h743", help="Board to emulate.")
@click.option("--limit", type=click.IntRange(min=1), help="Only N samples.")
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def evaluate(
    model: str,
    dataset: str | None,
    data: Path | None,
    samples: Path | None,
    executor: str,
    board: str,
    limit: int | None,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Score a model on a data set or sample file: top-1 accuracy with its Wilson 95 % interval.

    `--executor float` scores what Keras says of the samples as they are, neither clipped nor rounded; where the
    network's input is rounded more coarsely, a second figure tells the float model's score on the rounded samples.
    """
    from stq_deploy.cli._input import outside_text
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars
    from stq_deploy.evaluation.scores import Accuracy
    from stq_deploy.progress import stage
    from stq_deploy.zoo.shipped import resolve_model

    source, chosen = chosen_samples(dataset, data, samples, limit)
    path = resolve_model(model, keras=executor == "float")
    with progress_bars() as progress, ExitStack() as opened:
        with stage(progress, "preparing the model"):
            scored = opened.enter_context(_opened(executor, board, path, conversion.load()))
        started = time.monotonic()
        found = scored.predict(chosen, lambda done: progress(executor, done, len(chosen)))
        seconds = time.monotonic() - started
    accuracy = Accuracy.of(found.classes, chosen.y)
    rounded = None if found.on_levels is None else Accuracy.of(found.on_levels, chosen.y)
    if as_json:
        print_json(
            {
                "model": scored.name,
                "model_hash": scored.model_hash,
                "executor": executor,
                "source": source,
                "attack": chosen.attack,
                "samples": len(chosen),
                **accuracy.as_json(),
                "after_input_quantization": None if rounded is None else rounded.as_json(),
                "samples_outside_domain": found.outside,
                "seconds": seconds,
            }
        )
    else:
        what = f"{source} ({chosen.attack}), {executor}"
        click.echo(f"{what}: top-1 {accuracy}, {len(chosen)} samples, {seconds:.1f} s")
        if rounded is not None:
            click.echo(f"{what}, after input quantization: top-1 {rounded}")
        if found.outside is not None:
            click.echo(f"{outside_text(found.outside, len(chosen))}.")


@dataclass(frozen=True, eq=False)
class _Predictions:
    """Classes (N,) that a model gives.

    Attributes:
        on_levels: of the float model, what it says of the values that the network's input levels stand for; None where
            there are none, or a value lies outside them.
        outside: samples with a value outside the input's domain; None if no network has one.
    """

    classes: Classes
    on_levels: Classes | None
    outside: int | None


@dataclass(frozen=True)
class _Scored:
    """A model ready to be scored: its network's hash (None if it has none), and what it says of samples."""

    name: str
    model_hash: str | None
    predict: Predictor


@contextmanager
def _opened(executor: str, board: str, path: Path, conversion: Conversion) -> Iterator[_Scored]:
    """The model in the executor named: built, started and ready."""
    if executor == "float":
        from stq_deploy.evaluation.float_model import FloatModel

        model = FloatModel(path, conversion)
        yield _Scored(model.name, model.model_hash, lambda samples, _: _float_predictions(model, samples))
        return

    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.evaluation.inputs import read_inputs
    from stq_deploy.evaluation.open_executor import open_executor
    from stq_deploy.evaluation.scores import classes_of
    from stq_deploy.passes import load_any

    network = load_any(path, conversion)
    say_assumed_input(network)
    with open_executor(board if executor == "emulated" else executor, network) as opened:

        def predict(samples: SampleSet, progress: Callable[[int], None]) -> _Predictions:
            inputs = read_inputs(samples, network.input_format)
            return _Predictions(classes_of(opened.run(inputs.levels, progress)), None, inputs.outside)

        yield _Scored(str(network.metadata.get("name", "")), network.sha256(), predict)


def _float_predictions(model: FloatModel, samples: SampleSet) -> _Predictions:
    """What Keras says of the samples as they are, and of what their input levels stand for."""
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.evaluation.inputs import count_outside

    network, format = model.network, model.input_format
    values = format.model_values(samples.x, features=samples.holds_features)
    classes = model.classes(values)
    if network is None:
        return _Predictions(classes, None, None)
    say_assumed_input(network)
    outside = count_outside(format, values)
    if format.domain is None:  # the model rounds its input itself
        return _Predictions(classes, classes, outside)
    return _Predictions(classes, None if outside else model.classes(format.values(format.levels(values))), outside)
