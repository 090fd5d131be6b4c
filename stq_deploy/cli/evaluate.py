"""`stq-deploy evaluate`: scores a model on a data set or sample file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._float_engine import float_engine_option
from stq_deploy.cli._names import BOARD, DATA_SET, MODEL
from stq_deploy.cli._task import task_options

if TYPE_CHECKING:
    from stq_deploy.common.progress import Progress
    from stq_deploy.datasets.samples import SampleSet
    from stq_deploy.evaluation.float_model_file import FloatModelFile
    from stq_deploy.evaluation.scores import Score
    from stq_deploy.evaluation.scoring import Answers, Scoring
    from stq_deploy.evaluation.task import Stated
    from stq_deploy.network.input_format import InputFormat, Levels
    from stq_deploy.network.noise import InputNoise
    from stq_deploy.network.output import OutputFormat
    from stq_deploy.network.tensor import TensorType
    from stq_deploy.pipeline import Conversion

    Disturb = Callable[[Levels], Levels] | None
    Answerer = Callable[[SampleSet, Scoring, Callable[[int], None], Disturb, int], "_ModelAnswers"]

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
    help="float: the Keras model in float32; numpy: the integer reference; host: the generated C here; "
    "emulated: the firmware on an emulated board, every sample compared with the reference.",
)
@click.option("--board", type=BOARD, default="stm32h743", help="Board to emulate.")
@click.option("--limit", type=click.IntRange(min=1), help="Only N samples.")
@click.option(
    "--noise", type=click.FloatRange(0, 256), metavar="SIGMA",
    help="Add Gaussian noise of SIGMA levels to every input first: the random noise defense.",
)  # fmt: skip
@click.option("--noise-seed", type=click.IntRange(0, 2**64 - 1), default=0, help="Seed of the noise.")
@click.option(
    "--noise-draws", type=click.IntRange(1, 1000), default=1,
    help="Score so many draws of the noise, or of the noise that the network adds itself.",
)  # fmt: skip
@float_engine_option
@task_options
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
    noise: float | None,
    noise_seed: int,
    noise_draws: int,
    float_engine: str,
    stated: Stated,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Score a model on a data set or sample file, and state the task of its output.

    Classes give top-1 accuracy with its Wilson 95 % interval; other outputs what --task names.

    `--executor float` scores the Keras model's answers to the samples unchanged, neither clipped nor rounded. Where
    the network's input is rounded more coarsely, a second figure is the float model's score on the rounded samples.

    With --noise, every executor gets the same noisy input levels. A network that `convert --input-noise` has made adds
    the same noise itself, on every executor alike.
    """
    from stq_deploy.cli._input import outside_text
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars
    from stq_deploy.common.errors import printable
    from stq_deploy.common.progress import stage
    from stq_deploy.evaluation.float_engine import NAMES
    from stq_deploy.evaluation.task import choose
    from stq_deploy.report.titles import reading_lines
    from stq_deploy.zoo.shipped import resolve_model

    source, chosen = chosen_samples(dataset, data, samples, limit)
    resolve_model(model, keras=executor == "float")  # before any work, check that the file exists
    with progress_bars() as progress, ExitStack() as opened:
        with stage(progress, "preparing the model"):
            scored = opened.enter_context(_opened(executor, board, model, conversion.load(), float_engine))
        scoring = choose(scored.output_format, scored.input_format, scored.output_type, chosen, stated)
        _check_labelled(scoring, chosen, source)
        _check_noise(scored.has_noise, noise, noise_seed, noise_draws)
        started = time.monotonic()
        advance = partial(_advance, progress, executor, len(chosen))
        disturbed = _draws(noise, noise_seed, noise_draws, scored.input_format)
        draws = [scored.answer(chosen, scoring, advance, disturb, draw) for draw, disturb in enumerate(disturbed)]
        seconds = time.monotonic() - started
    found = draws[0]
    scores = [scoring.score(drawn.answers, chosen) for drawn in draws]
    score = scores[0]
    rounded = None if found.on_levels is None else scoring.score(found.on_levels, chosen)
    assert score is not None  # the samples have the labels that the score needs
    if as_json:
        print_json(
            {
                "model": scored.name,
                "model_hash": scored.model_hash,
                "executor": executor,
                "float_engine": scored.engine,
                "source": source,
                "attack": chosen.attack,
                "samples": len(chosen),
                "task": str(scoring.task),
                "metric": score.metric,
                "notes": [*scoring.notes, *filter(None, [scored.note])],
                **score.to_json(),
                **({} if noise is None else {"noise": _noise_json(noise, noise_seed, scores)}),
                **({"own_noise": {"draws": [one.to_json() for one in scores if one]}} if scored.has_noise else {}),
                "after_input_quantization": None if rounded is None else rounded.to_json(),
                "samples_outside_domain": found.outside,
                "seconds": seconds,
            }
        )
    else:
        kind = "" if chosen.attack == "unknown" else f" ({printable(chosen.attack)})"
        by = "" if scored.engine is None else f" by {NAMES[scored.engine]}"
        what = f"{printable(source)}{kind}, {executor}{by}"
        for draw, one in enumerate(scores, 1):
            own = f", draw {draw} of the network's own noise" if scored.has_noise else ""
            drawn = own if noise is None else f", noise of {noise:g} levels, draw {draw} of seed {noise_seed}"
            click.echo(f"{what}{drawn}: {score.metric} {one}, {len(chosen)} samples, {seconds:.1f} s")
        if rounded is not None:
            click.echo(f"{what}, after input quantization: {rounded.metric} {rounded}")
        if found.outside is not None:
            click.echo(f"{outside_text(found.outside, len(chosen))}.")
        click.echo("\n".join([*reading_lines(scoring), *([f"note: {scored.note}"] if scored.note else [])]))


def _draws(sigma: float | None, seed: int, draws: int, format: InputFormat) -> list[Disturb]:
    """The change to the input levels in each draw; None where the network adds the noise, or there is none."""
    if sigma is None:
        return [None] * draws
    from stq_deploy.network.noise import InputNoise

    noise = InputNoise(sigma, seed)
    return [partial(_with_noise, noise, format, draw) for draw in range(draws)]


def _check_noise(has_noise: bool, sigma: float | None, seed: int, draws: int) -> None:
    """Raises StqError if there is noise twice, or an option about noise that there is not."""
    from stq_deploy.common.errors import StqError

    if has_noise and (sigma is not None or seed):
        raise StqError(
            "the network adds noise itself",
            where="--noise, --noise-seed",
            next="leave them out; `convert --input-noise SIGMA --input-noise-seed N` sets the network's own noise",
        )
    if not has_noise and sigma is None and (seed, draws) != (0, 1):
        raise StqError("--noise-seed and --noise-draws apply to noise, and there is none", next="add --noise SIGMA")


def _with_noise(noise: InputNoise, format: InputFormat, draw: int, levels: Levels) -> Levels:
    return noise.on(levels, format.type, draw)


def _noise_json(sigma: float, seed: int, scores: list[Score | None]) -> dict[str, Any]:
    """For --json: the score of each draw."""
    draws = [None if score is None else score.to_json() for score in scores]
    return {"sigma_levels": sigma, "seed": seed, "draws": draws}


def _advance(progress: Progress, executor: str, total: int, done: int) -> None:
    progress(executor, done, total)


def _check_labelled(scoring: Scoring, samples: SampleSet, source: str) -> None:
    from stq_deploy.common.errors import StqError
    from stq_deploy.network.output import Task

    if samples.y is None and scoring.task is not Task.RECONSTRUCTION:
        raise StqError(
            f"the samples have no labels, and a score of {scoring.task} needs them",
            where=source,
            next="store `y` beside `x`; `run` and `verify` compare executors without labels",
        )


@dataclass(frozen=True, eq=False)
class _ModelAnswers:
    """A model's answers to samples.

    Attributes:
        on_levels: the float model's answers to the values that the network's input levels stand for; None where there
            are none, or a value lies outside them.
        outside: samples with a value outside the input's domain; None if no network has one.
    """

    answers: Answers
    on_levels: Answers | None
    outside: int | None


@dataclass(frozen=True)
class _Scored:
    """A model ready to be scored: its input, its output, and its answers.

    `model_hash` is None without a network; `note` is a note about a model that Keras computes in 16 bits; `engine`
    computes the float model, and is None for a network; `has_noise` says that the network adds noise itself.
    """

    name: str
    model_hash: str | None
    input_format: InputFormat
    output_format: OutputFormat
    output_type: TensorType | None
    answer: Answerer
    note: str
    engine: str | None = None
    has_noise: bool = False


@contextmanager
def _opened(executor: str, board: str, model: str, conversion: Conversion, engine: str) -> Iterator[_Scored]:
    """The model in the named executor: built, started and ready."""
    if executor == "float":
        from stq_deploy.evaluation.float_engine import open_float_model
        from stq_deploy.zoo.shipped import resolve_model

        floats = open_float_model(resolve_model(model, keras=True), conversion, engine)
        yield _Scored(
            floats.name,
            floats.model_hash,
            floats.input_format,
            floats.output_format,
            None,
            lambda samples, scoring, _, disturb, _draw: _float_answers(floats, samples, scoring, disturb),
            floats.note,
            floats.engine,
        )
        return

    from stq_deploy.api.network import open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.evaluation.agreement import check_none_differ
    from stq_deploy.evaluation.network_answers import network_answers
    from stq_deploy.executors.open_executor import open_executor
    from stq_deploy.frontend.importer import half_precision_note
    from stq_deploy.pipeline import Pipeline

    net = open_network(model, Pipeline(conversion))
    network = net.network
    say_assumed_input(network)
    with open_executor(board if executor == "emulated" else executor, net.program) as opened:

        def answer(
            samples: SampleSet, scoring: Scoring, progress: Callable[[int], None], disturb: Disturb, draw: int
        ) -> _ModelAnswers:
            compare = executor == "emulated"
            found = network_answers(
                opened, samples, scoring, compare=compare, disturb=disturb, draw=draw, progress=progress
            )
            if found.differing is not None:
                check_none_differ(found.differing, len(samples), f"emulated {board}")
            return _ModelAnswers(found.answers, None, found.outside)

        yield _Scored(
            network.name,
            network.sha256(),
            network.input_format,
            network.output_format,
            network.output_type,
            answer,
            half_precision_note(net.source),
            has_noise=network.has_noise,
        )


def _float_answers(model: FloatModelFile, samples: SampleSet, scoring: Scoring, disturb: Disturb) -> _ModelAnswers:
    """Keras's answers to the samples unchanged, and to the values of their input levels.

    With noise, Keras answers the values of the noisy levels alone.
    """
    from stq_deploy.cli._input import say_assumed_pixels
    from stq_deploy.evaluation.inputs import count_outside

    say_assumed_pixels(model, samples)
    network, format = model.network, model.input_format
    values = format.model_values(samples.x, features=samples.holds_features)
    if disturb is not None:
        noisy = format.values(disturb(format.levels(values)))
        outside = None if network is None else count_outside(format, values)
        return _ModelAnswers(model.answers(scoring, noisy), None, outside)
    answers = model.answers(scoring, values)
    if network is None:
        return _ModelAnswers(answers, None, None)
    outside = count_outside(format, values)
    if format.domain is None:  # the model rounds its input itself
        return _ModelAnswers(answers, answers, outside)
    rounded = None if outside else model.answers(scoring, format.values(format.levels(values)))
    return _ModelAnswers(answers, rounded, outside)
