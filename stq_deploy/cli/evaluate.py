"""`stq-deploy evaluate`: accuracy of a model on a data set or sample file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stq_deploy.evaluation.scores import Classes
    from stq_deploy.network import Network

    Predictor = Callable[[Any, Callable[[int], None]], Classes]

EXECUTORS = ("float", "numpy", "host", "emulated")


@click.command(context_settings={"show_default": True})
@click.option("--model", default="zoo:stq-cifar10", help="A .stq network, a QKeras model, or zoo:NAME.")
@click.option("--dataset", help="Score on the test samples of this data set, such as cifar10.")
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
    help="float: the QKeras model in TensorFlow; numpy: the integer reference; host: the generated C here; "
    "emulated: the firmware on an emulated board.",
)
@click.option("--board", default="stm32h743", help="Board to emulate.")
@click.option("--limit", type=click.IntRange(min=1), help="Only N samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def evaluate(
    model: str,
    dataset: str | None,
    data: Path | None,
    samples: Path | None,
    executor: str,
    board: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Score a model on a data set or sample file: top-1 accuracy with its Wilson 95 % interval.

    The samples are quantised to the network's input levels first, for the float model too.
    """
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars
    from stq_deploy.evaluation.scores import Accuracy
    from stq_deploy.network.input_format import quantize_input
    from stq_deploy.passes import load_any
    from stq_deploy.zoo.shipped import resolve_model

    source, chosen = chosen_samples(dataset, data, samples, limit)
    path = resolve_model(model, keras=executor == "float")
    network = load_any(path)
    levels = quantize_input(chosen.x, network.input_type)
    with (
        _predictor(executor, board, path, network) as predict,
        progress_bars() as progress,
    ):
        started = time.monotonic()
        predictions = predict(levels, lambda done: progress(executor, done, len(chosen)))
        seconds = time.monotonic() - started
    accuracy = Accuracy.of(predictions, chosen.y)
    if as_json:
        print_json(
            {
                "model": str(network.metadata.get("name", "")),
                "model_hash": network.sha256(),
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


@contextmanager
def _predictor(executor: str, board: str, path: Path, network: Network) -> Iterator[Predictor]:
    """Classes of input levels, by the executor named: built, started and ready."""
    if executor == "float":
        from stq_deploy.evaluation.float_model import FloatModel

        float_model = FloatModel(path)
        yield lambda levels, _progress: float_model.classes(levels, network.input_type)
        return

    from stq_deploy.evaluation.open_executor import open_executor
    from stq_deploy.evaluation.scores import classes_of

    with open_executor(board if executor == "emulated" else executor, network) as opened:
        yield lambda levels, progress: classes_of(opened.run(levels, progress))
