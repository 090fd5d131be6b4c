"""`stq-deploy train`: train a network by a recipe, or continue a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._training import training_options

if TYPE_CHECKING:
    from stq_deploy.research.training import TrainingConfig


@click.command()
@training_options
@click.option("--resume", is_flag=True, help="Continue the run in --out, to the same result bit for bit.")
@click.option("--tensorboard", is_flag=True, help="Also write the history for TensorBoard.")
@click.option(
    "--keep-teaching",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep the teacher's answers here, for other schemes that the same recipe trains.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json on stdout, all else on stderr.")
def train(config: TrainingConfig, resume: bool, tensorboard: bool, keep_teaching: Path | None, as_json: bool) -> None:
    """Train one of the paper's networks, or one of your own, by a recipe.

    The default recipe is the paper's Table II: 1000 epochs, batches of 64, Adamax, cosine from 1e-3 to 1e-6, no
    augmentation. Our recipes reach more in less time: train the floating-point twin (--recipe fp --scheme fp), then
    quantize from it (--recipe quantized --scheme stq --warm-start FP/model.h5). docs/TRAINING.md lists a recipe's
    entries.

    Every epoch ends with a checkpoint; --resume continues a stopped run.
    Writes model.h5 (QKeras), result.json and history.jsonl into --out.
    """
    from stq_deploy.cli._screen import print_json
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.research.training import default_reporter
    from stq_deploy.research.training import train as run

    kept = f"epochs that were done are kept in {config.out}; the same command with --resume goes on from there"
    with interruptible(kept), made_folder(config.out) as folder, locked(folder):
        reporter = default_reporter(stderr=as_json)
        result = run(config, reporter, resume=resume, tensorboard=tensorboard, keep_teaching=keep_teaching)
    if as_json:
        print_json(result.to_json())
