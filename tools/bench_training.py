"""Time a training step in several settings, taking turns, and print a table.

    python tools/bench_training.py [--variant pooled] [--steps 9]

The fastest time is reported: other work on the computer makes steps slower, never faster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import click

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from stq_deploy.research.quantizers.bfloat16 import allow_bfloat16
from stq_deploy.research.quantizers.fast import use_fast_activations
from stq_deploy.research.training.averaging import WeightAverage
from stq_deploy.research.training.objective import make_objective
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.step import make_optimizer, make_step
from stq_deploy.zoo.networks import build_network

SLOW = "stq, bfloat16, qkeras' activations"
"""The only setting without `use_fast_activations`."""
BASE = ("fp", Recipe(batch_size=128))
SETTINGS: dict[str, tuple[str, Recipe]] = {
    "fp": BASE,
    "fp, bfloat16": ("fp", Recipe(batch_size=128, precision="bfloat16")),
    "fp, bfloat16, batch 256": ("fp", Recipe(batch_size=256, precision="bfloat16")),
    "fp, bfloat16, average": ("fp", Recipe(batch_size=128, precision="bfloat16", average_decay=0.999)),
    "fp, bfloat16, Jacobian": ("fp", Recipe(batch_size=128, precision="bfloat16", jacobian=0.01)),
    "stq": ("stq", Recipe(batch_size=128)),
    "stq, bfloat16": ("stq", Recipe(batch_size=128, precision="bfloat16")),
    SLOW: ("stq", Recipe(batch_size=128, precision="bfloat16")),
    "stq, bfloat16, no draws": ("stq", Recipe(batch_size=128, precision="bfloat16", stochastic="none")),
}


def prepare(scheme: str, recipe: Recipe, variant: str, fast: bool) -> Callable[[], object]:
    """One step on random pictures, already compiled; `fast` is how activations are quantized."""
    model = build_network(scheme=scheme, variant=variant)
    if fast:
        use_fast_activations(model)
    allow_bfloat16(model)
    average = WeightAverage(model, recipe.average_decay)
    step = make_step(model, make_optimizer(model, recipe), make_objective(model, recipe), average, recipe)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.integers(0, 256, (recipe.batch_size, 32, 32, 1), dtype=np.uint8))
    y = tf.one_hot(rng.integers(0, 10, recipe.batch_size), 10)

    def run() -> object:
        return float(step(x, y, None, tf.constant(1e-3))[0])

    run()
    run()
    return run


@click.command()
@click.option("--variant", default="pooled", show_default=True)
@click.option("--steps", default=9, show_default=True, help="Of each setting.")
def main(variant: str, steps: int) -> None:
    """Print a table of the settings."""
    runs = {name: prepare(scheme, recipe, variant, name != SLOW) for name, (scheme, recipe) in SETTINGS.items()}
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(steps):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            least[name] = min(least[name], time.perf_counter() - started)
    scheme, recipe = BASE
    base = least[scheme] / recipe.batch_size
    print("| setting | ms a step | ms a sample | times as fast as fp in float32 |\n|---|---|---|---|")
    for name, seconds in least.items():
        sample = seconds / SETTINGS[name][1].batch_size
        print(f"| {name} | {1000 * seconds:.0f} | {1000 * sample:.2f} | {base / sample:.2f} |")


if __name__ == "__main__":
    main()
