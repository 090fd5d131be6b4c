"""Options of commands that train: network, data and recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from stq_deploy.cli._names import DATA_SET, NETWORK, RECIPE, SCHEME, VARIANT

_FLAGS = ("epochs", "batch_size", "warm_start", "teacher")
"""Options that are entries of the recipe."""


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options, and gives the command one `config: TrainingConfig` instead of them."""

    @click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the run.")
    @click.option(
        "--recipe",
        type=RECIPE,
        default="paper",
        show_default=True,
        help="How to train: paper, fp, quantized, gradual, fp-speech, quantized-speech, robust-fp, robust-quantized, "
        "noisy, jacobian, certified, smoke, or a .toml file.",
    )
    @click.option(
        "--network",
        type=NETWORK,
        default="stq",
        show_default=True,
        help="stq, resnet_v1, ds_cnn, or FILE.py:FUNCTION of your own, which is run.",
    )
    @click.option(
        "--variant", type=VARIANT, default="pooled", show_default=True, help="Variant of stq: pooled or strided."
    )
    @click.option(
        "--scheme",
        type=SCHEME,
        default="stq",
        show_default=True,
        help="Quantization: fp, 8bit, 4bit, ternary, stq, 2bit, binary, s-binary, or a .toml file with bits by layer.",
    )
    @click.option("--dataset", type=DATA_SET, default="cifar10", show_default=True, help="Data set.")
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="File or folder of the data.  [default: $STQ_DEPLOY_DATA, else the public source]",
    )
    @click.option("--epochs", type=int, help="Passes over the training samples, instead of the recipe's.")
    @click.option("--batch-size", type=int, help="Samples per step, instead of the recipe's.")
    @click.option("--warm-start", help="Model (.h5, .keras or zoo name) whose weights to start from.")
    @click.option("--teacher", help="Model to distil from, if the recipe distils.  [default: the one of --warm-start]")
    @click.option("--set", "settings", metavar="ENTRY=VALUE", multiple=True, help="Any other entry of the recipe.")
    @click.option("--test-limit", type=click.IntRange(min=1), help="Test on only N samples, for a trial.")
    @click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides everything random.")
    @wraps(command)
    def wrapped(**options: Any) -> None:
        from stq_deploy.research.training import TrainingConfig
        from stq_deploy.research.training.recipe import load_recipe, parse_changes
        from stq_deploy.zoo.scheme_file import load_scheme

        flags = {name: options.pop(name) for name in _FLAGS}
        scheme, layers = load_scheme(options.pop("scheme"))
        changes = parse_changes(list(options.pop("settings")))
        changes |= {name: value for name, value in flags.items() if value is not None}
        names = ("out", "network", "variant", "dataset", "data", "test_limit", "seed")
        run = {name: options.pop(name) for name in names} | {"scheme": scheme, "scheme_layers": layers}
        command(config=TrainingConfig(recipe=load_recipe(options.pop("recipe"), changes), **run), **options)

    return wrapped
