"""`stq-deploy attack`: adversarial samples of a QKeras model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stq_deploy.cli._attacks import (
    NONE,
    check_source,
    checked_source_range,
    chosen_attacks,
    chosen_defence,
    opened_source,
    source_range_option,
    threshold_option,
)
from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import ATTACK_OR_NONE, BOARD, DATA_SET, MODEL
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._output import force_option

if TYPE_CHECKING:
    from stq_deploy.datasets.sample_metadata import DefenceRecord
    from stq_deploy.datasets.samples import SampleSet


@click.command()
@click.option("--model", type=MODEL, required=True, help="Keras or QKeras model, .h5 or .keras; or zoo:stq-cifar10.")
@click.option(
    "--attack", "names", type=ATTACK_OR_NONE, multiple=True, required=True, metavar="NAME",
    help="noise, fgsm, pgd, apgd, apgd-t, square, transfer, worst, cw, zoo, boundary, hopskipjump, or none for clean "
    "samples; may be given several times.",
)  # fmt: skip
@click.option("--eps", help="Budget, in pixel units (0..1) or --unit; fractions are fine.  [default: 8/255; L2 0.5]")
@click.option("--norm", help="Norm of the budget: inf, 1 or 2.  [default: inf; for cw, zoo and hopskipjump 2]")
@click.option(
    "--unit", type=click.Choice(["value", "range", "std"]),
    help="What an eps of 1 means for features: their own unit, the range the file states, or each one's deviation.  "
    "[default: value]",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="[ATTACK.]SETTING=VALUE",
    help="Any other setting, such as max_iter=40 or pgd.eps_step=1/255.",
)  # fmt: skip
@click.option("--dataset", type=DATA_SET, help="Attack test samples of this data set, such as cifar10.")
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)  # fmt: skip
@click.option("--samples", type=click.Path(path_type=Path), help="Attack the samples of this file (.npz).")
@click.option("--limit", type=click.IntRange(min=1), help="Only N samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--from", "source", type=MODEL, help="Model whose gradients the attack transfer takes.")
@source_range_option
@click.option("--defence", help="Defend the model: rnd:SIGMA, fresh noise of SIGMA input levels for every answer.")
@click.option(
    "--eot", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="Noisy answers that the attack averages for each question.",
)  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), help="Samples at a time.  [default: 128]")
@click.option(
    "--storage", type=click.Choice(["uint8", "float32"]), default="uint8", show_default=True,
    help="uint8: pixels of 8 bits, as in a picture file; float32: any values.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="Sample file to write (.npz); with several attacks, or --live, a folder.",
)  # fmt: skip
@click.option("--live", is_flag=True, help="A board answers every query: square, boundary, hopskipjump.")
@click.option(
    "--queries", type=click.IntRange(min=1), help="Largest number of queries per sample with --live.  [default: 500]"
)
@click.option("--board", type=BOARD, default="stm32h743", show_default=True, help="Board that --live attacks.")
@click.option("--port", help="Serial port of a board that runs the build.  [default: emulated boards]")
@click.option("--boards", type=click.IntRange(1, 64), help="How many emulated boards.  [default: one per core]")
@threshold_option
@force_option
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def attack(
    model: str,
    names: tuple[str, ...],
    eps: str | None,
    norm: str | None,
    unit: str | None,
    settings: tuple[str, ...],
    dataset: str | None,
    data: Path | None,
    samples: Path | None,
    limit: int | None,
    seed: int,
    source: str | None,
    source_range: tuple[float, float] | None,
    defence: str | None,
    eot: int,
    batch: int | None,
    storage: str,
    out: Path,
    live: bool,
    queries: int | None,
    board: str,
    port: str | None,
    boards: int | None,
    threshold: float | None,
    force: bool,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Make adversarial samples of a Keras or QKeras model.

    The attacks are untargeted. They run on the float model's logits, and every candidate is rounded to what is
    stored, inside its budget, before the model sees it. Gradients pass straight through quantizers and rounding.
    The result is shown to the integer network as well. Settings, versions, seed, the largest change found and the
    float model's predictions are stored in the sample file.

    With --live a board's integer network is under attack instead, real or emulated, and MODEL may be a .stq network.
    The queries of many samples are under way at once. The same attack then runs on the host twin, the C of the board on
    this computer: every query and every answer must be equal. Run again, the command continues where it stopped.
    """
    from stq_deploy.cli._live import QUERIES, LiveOptions, attack_live_boards, live_settings
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import check_output
    from stq_deploy.datasets.samples import is_own_sample_file

    if live:
        _check_live_options(names, storage, defence, source, unit, batch)
        settings = live_settings(names, queries or QUERIES, settings)
    elif queries is not None or port is not None or boards is not None:
        raise StqError(
            "--queries, --port and --boards are for attacks on a board",
            next="add --live; or bound the queries by --set max_iter=N or --set max_queries=N",
        )
    attacks = chosen_attacks(names, {"eps": eps, "norm": norm}, settings)
    noise = chosen_defence(defence, eot)
    if not live:  # a live attack that needs a source is refused for its gradients
        check_source(source, list(attacks))
    said_range = checked_source_range(source, source_range)
    paths = {name: out / f"{name}.npz" for name in attacks} if live else _paths(list(attacks), out)
    for path in paths.values():
        read = (model, samples, conversion.calibrate)
        what = "a sample file that attack wrote"
        check_output(path, what=what, recognize=is_own_sample_file, inputs=read, force=force)
    _, clean = chosen_samples(dataset, data, samples, limit)
    if live:
        where = LiveOptions(board, port, boards, threshold)
        attack_live_boards(model, attacks, clean, paths, out, where, seed, conversion, as_json)
        return

    from stq_deploy.cli._input import outside_text, say_assumed_pixels
    from stq_deploy.common.progress import stage
    from stq_deploy.datasets.samples import save_samples
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.inputs import read_inputs
    from stq_deploy.evaluation.judge import judge_of
    from stq_deploy.evaluation.task import check_attackable, logit_limit
    from stq_deploy.executors.host_executor import HostExecutor
    from stq_deploy.research.attacks.craft import BATCH, UNITS, Target, craft
    from stq_deploy.zoo.shipped import resolve_model

    with progress_bars() as progress, stage(progress, "preparing the model"):
        float_model = FloatModel(resolve_model(model, keras=True), conversion.load())
        check_attackable(float_model.output_format)
        above = logit_limit(float_model.output_format, threshold)
    say_assumed_pixels(float_model, clean)
    helper = None if source is None else opened_source(source, said_range, clean)
    seen = float_model.input_format
    program = float_model.program
    judge = None if program is None else judge_of(HostExecutor(program), threshold)
    target = Target(
        model=float_model.keras,
        name=float_model.name,
        file_sha256=float_model.file_sha256,
        input_format=seen,
        model_hash=float_model.model_hash,
        judge=judge,
        limit=above,
    )
    written: list[AttackedFile] = []
    console = result_console(as_json)
    for name, chosen in attacks.items():
        kept = f"the files of attacks that were done are kept ({len(written)}); the same command starts again"
        with interruptible(kept), progress_bars() as progress:
            advance = partial(_advance, progress, name, len(clean))
            made = craft(
                target, clean, chosen, seed=seed, batch=batch or BATCH, storage=storage, unit=unit or UNITS[0],
                defence=noise, source=helper, progress=advance,
            )  # fmt: skip
        save_samples(made, paths[name])
        correct = made.correct
        outside = read_inputs(made, seen).outside if float_model.network is not None else None
        written.append(AttackedFile(paths[name], made, outside))
        text = f"{paths[name]}: of {len(made)} samples the float model gets right {correct['clean']} clean"
        if chosen is not None:
            text += f", {correct['attacked']} attacked"
        if "integer" in correct:
            text += f"; the integer network {correct['integer']}"
        if made.metadata.defence is not None:
            text += "; under fresh noise " + _fresh(made.metadata.defence)
        if outside is not None:
            text += f"; {outside_text(outside, len(made))}"
        console.print(text, soft_wrap=True)
    if as_json:
        print_json({"model": target.name, "model_hash": target.model_hash, "files": [one.to_json() for one in written]})


def _check_live_options(
    names: tuple[str, ...], storage: str, defence: str | None, source: str | None, unit: str | None, batch: int | None
) -> None:
    from stq_deploy.common.errors import StqError

    if NONE in names:
        raise StqError("--attack none sends no query", next="run clean samples with `stq-deploy run`")
    if storage != "uint8":
        raise StqError("a board receives stored pixels", next="leave --storage out")
    if defence is not None or source is not None:
        raise StqError("--live attacks the board alone", next="leave --defence and --from out, or leave --live out")
    if unit is not None:
        raise StqError(
            "--unit applies to features, and --live attacks pixels",
            next="leave --unit out; or attack features without --live, and stream the file with `stq-deploy run`",
        )
    if batch is not None:
        raise StqError(
            "--batch applies to the Keras model; --live has as many queries under way as boards and samples allow",
            next="leave --batch out, and choose the number of emulated boards with --boards",
        )


@dataclass(frozen=True)
class AttackedFile:
    """A file that was written: its path, its samples, and how many of these lie outside the network's domain."""

    path: Path
    samples: SampleSet
    outside: int | None

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        defence = self.samples.metadata.defence
        return {
            "attack": self.samples.attack,
            "file": str(self.path),
            "samples": len(self.samples),
            "correct": self.samples.correct,
            "samples_outside_domain": self.outside,
            **({} if defence is None else {"defence": defence.to_json()}),
        }


def _fresh(defence: DefenceRecord) -> str:
    """Number right under each draw, by the integer network where there is one."""
    counts = defence.correct
    name = "integer" if "integer" in counts else "float"
    clean, attacked = (" ".join(map(str, counts[name][kind])) for kind in ("clean", "attacked"))
    return f"(each draw, {name} network) {clean} clean, {attacked} attacked"


def _advance(progress: Callable[[str, int, int], None], name: str, total: int, done: int) -> None:
    progress(name, done, total)


def _paths(names: list[str], out: Path) -> dict[str, Path]:
    from stq_deploy.datasets.samples import CLEAN

    if len(names) == 1 and out.suffix == ".npz":
        return {names[0]: out}
    return {name: out / f"{CLEAN if name == NONE else name}.npz" for name in names}
