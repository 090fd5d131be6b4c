"""`stq-deploy train`: train a network by a recipe, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the run.")
@click.option("--recipe", default="paper", help="How to train: paper, fp, quantized, gradual, smoke, or a .toml file.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, to the same result bit for bit.")
@click.option("--network", default="stq", help="stq, resnet_v1, ds_cnn, or FILE.py:FUNCTION of your own, which is run.")
@click.option("--variant", default="pooled", help="Of the network stq: pooled or strided.")
@click.option("--scheme", default="stq", help="Quantization: fp, 8bit, 4bit, ternary, stq, 2bit, binary, s-binary.")
@click.option("--dataset", default="cifar10", help="Data set.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--epochs", type=int, help="Passes over the training samples, instead of the recipe's.")
@click.option("--batch-size", type=int, help="Samples a step, instead of the recipe's.")
@click.option("--warm-start", help="Model (.h5, .keras or zoo name) whose weights to start from.")
@click.option("--teacher", help="Model to distil from, if the recipe distils.  [default: the one of --warm-start]")
@click.option("--set", "settings", metavar="ENTRY=VALUE", multiple=True, help="Any other entry of the recipe.")
@click.option("--test-limit", type=int, help="Test on only so many samples: for a trial.")
@click.option("--tensorboard", is_flag=True, help="Also write the history for TensorBoard.")
@click.option("--seed", type=int, default=0, help="Decides everything random.")
def train(recipe: str, resume: bool, tensorboard: bool, settings: tuple[str, ...], **options: Any) -> None:
    """Train one of the paper's networks by a recipe.

    The default recipe is the paper's Table II: 1000 epochs, batches of 64, Adamax, cosine from 1e-3 to 1e-6, no
    augmentation. Ours reach more in less: train the floating-point twin (--recipe fp --scheme fp), then quantize from
    it (--recipe quantized --scheme stq --warm-start FP/model.h5). docs/TRAINING.md lists a recipe's entries.

    Every epoch ends in a checkpoint; a stopped run goes on with --resume.
    Writes model.h5 (QKeras), result.json and history.jsonl into --out.
    """
    from stq_deploy.training import TrainingConfig, default_reporter
    from stq_deploy.training import train as run
    from stq_deploy.training.recipe import load_recipe, parse_changes

    flags = {name: options.pop(name) for name in ("epochs", "batch_size", "warm_start", "teacher")}
    changes = {name: value for name, value in flags.items() if value is not None}
    chosen = load_recipe(recipe, parse_changes(list(settings)) | changes)
    run(TrainingConfig(recipe=chosen, **options), default_reporter(), resume=resume, tensorboard=tensorboard)
