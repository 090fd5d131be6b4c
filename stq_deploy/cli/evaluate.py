"""`stq-deploy evaluate`: accuracy of a model on a data set or sample file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import BOARD, DATA_SET, MODEL

if TYPE_CHECKING:
    from stq_deploy.evaluation.scores import Classes
    from stq_deploy.network.input_format import InputFormat
    from stq_deploy.passes import Conversion

    Predictor = Callable[[Any, Callable[[int], None]], Classes]

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

    The samples are quantised to the network's input levels first, for the float model too. A model with
    floating-point weights and no --post-training has no network: `--executor float` scores it on pixels of 8 bits.
    """
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars
    from stq_deploy.evaluation.scores import Accuracy
    from stq_deploy.network.input_format import quantize_input
    from stq_deploy.progress import stage
    from stq_deploy.zoo.shipped import resolve_model

    source, chosen = chosen_samples(dataset, data, samples, limit)
    path = resolve_model(model, keras=executor == "float")
    with progress_bars() as progress, ExitStack() as opened:
        with stage(progress, "preparing the model"):
            scored = opened.enter_context(_opened(executor, board, path, conversion.load()))
        levels = quantize_input(chosen.x, scored.input_format)
        started = time.monotonic()
        predictions = scored.predict(levels, lambda done: progress(executor, done, len(chosen)))
        seconds = time.monotonic() - started
    accuracy = Accuracy.of(predictions, chosen.y)
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
                "seconds": seconds,
            }
        )
    else:
        what = f"{source} ({chosen.attack}), {executor}"
        click.echo(f"{what}: top-1 {accuracy}, {len(chosen)} samples, {seconds:.1f} s")


@dataclass(frozen=True)
class _Scored:
    """A model ready to be scored: its network's hash (None if it has none), what it sees, and what it says."""

    name: str
    model_hash: str | None
    input_format: InputFormat
    predict: Predictor


@contextmanager
def _opened(executor: str, board: str, path: Path, conversion: Conversion) -> Iterator[_Scored]:
    """The model in the executor named: built, started and ready."""
    if executor == "float":
        from stq_deploy.evaluation.float_model import FloatModel

        model = FloatModel(path, conversion)
        format = model.input_format
        yield _Scored(model.name, model.model_hash, format, lambda levels, _: model.classes(levels, format.type))
        return

    from stq_deploy.evaluation.open_executor import open_executor
    from stq_deploy.evaluation.scores import classes_of
    from stq_deploy.passes import load_any

    network = load_any(path, conversion)
    with open_executor(board if executor == "emulated" else executor, network) as opened:
        yield _Scored(
            str(network.metadata.get("name", "")),
            network.sha256(),
            network.input_format,
            lambda levels, progress: classes_of(opened.run(levels, progress)),
        )
