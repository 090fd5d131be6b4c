"""`stq-deploy train`: train one of the paper's networks, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, to the same result bit for bit.")
@click.option("--network", default="stq", help="Network.")
@click.option("--variant", default="pooled", help="pooled or strided.")
@click.option("--scheme", default="stq", help="Quantization: fp, 8bit, 4bit, ternary, stq, 2bit, binary, s-binary.")
@click.option("--dataset", default="cifar10", help="Data set.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--epochs", type=int, default=1000, help="Passes over the training samples.")
@click.option("--batch-size", type=int, default=64, help="Samples a step.")
@click.option("--optimizer", default="adamax", help="adamax, adam or sgd.")
@click.option("--learning-rate", type=float, default=1e-3, help="At the start; cosine from there.")
@click.option("--final-learning-rate", type=float, default=1e-6, help="At the end.")
@click.option("--warm-up-steps", type=int, default=0, help="Steps of linear rise before; large rates need some.")
@click.option("--augment", default="none", help="none or crop-flip.")
@click.option("--warm-start", type=click.Path(path_type=Path), help="Model file (.h5) whose weights to start from.")
@click.option("--temperature-start", type=float, default=8.0, help="Of the stochastic draws; higher is less random.")
@click.option("--temperature-end", type=float, default=8.0, help="Temperature of the last epoch.")
@click.option("--validation-samples", type=int, default=2000, help="Training samples held out, to watch.")
@click.option("--train-limit", type=int, help="Use only so many training samples: for a trial.")
@click.option("--test-limit", type=int, help="Test on only so many samples: for a trial.")
@click.option("--seed", type=int, default=0, help="Decides everything random.")
def train(resume: bool, **settings: Any) -> None:
    """Train one of the paper's networks.

    The defaults are the paper's Table II: 1000 epochs, batches of 64, Adamax, cosine from 1e-3 to 1e-6, no
    augmentation. Every epoch ends in a checkpoint; a stopped run goes on with --resume.
    Writes model.h5 (QKeras), result.json and history.jsonl into --out.

    A recipe for a laptop: train the floating-point twin (--scheme fp --epochs 30 --batch-size 128 --augment
    crop-flip --learning-rate 2e-3 --warm-up-steps 375), then STQ from it (the same with --scheme stq
    --warm-start FP/model.h5 --temperature-end 200).
    """
    from stq_deploy.training import TrainingConfig, default_reporter
    from stq_deploy.training import train as run

    run(TrainingConfig(**settings), default_reporter(), resume=resume)
