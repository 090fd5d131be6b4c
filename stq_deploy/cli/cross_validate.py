"""`stq-deploy cross-validate`: the spread of accuracy over training data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._names import ATTACK
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._training import training_options
from stq_deploy.common.tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from rich.table import Table

    from stq_deploy.evaluation.cross_validation import CrossValidationResult, FoldScores
    from stq_deploy.research.training import TrainingConfig


@click.command()
@training_options
@click.option("--folds", type=click.IntRange(min=2), default=10, show_default=True, help="Parts of the data set.")
@click.option(
    "--attack",
    "names",
    type=ATTACK,
    multiple=True,
    metavar="NAME",
    help="Also test under fgsm, pgd, square or boundary; may be given several times.",
)
@click.option(
    "--attack-set",
    "attack_settings",
    multiple=True,
    metavar="[ATTACK.]SETTING=VALUE",
    help="A setting of the attacks, such as eps=8/255 or pgd.max_iter=7.",
)
@click.option(
    "--attack-samples", type=click.IntRange(min=1), default=100, show_default=True, help="Samples attacked per fold."
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where folds are trained."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cross_validate(
    config: TrainingConfig,
    folds: int,
    names: tuple[str, ...],
    attack_settings: tuple[str, ...],
    attack_samples: int,
    engine: str,
    as_json: bool,
) -> None:
    """Train and test on every fold of a data set, as in the paper's Table V.

    Scikit-learn's KFold splits the whole data set, shuffled by --seed. Writes fold_01, fold_02, ... and
    cross_validation.json into --out. Run again, it continues where it stopped. --engine ray trains folds in parallel,
    with the package ray.
    """
    from stq_deploy.cli._attacks import chosen_attacks
    from stq_deploy.cli._screen import human_console, print_json, result_console

    attacks = chosen_attacks(names, {}, attack_settings)
    import_tensorflow("training")
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.evaluation.cross_validation import CrossValidation
    from stq_deploy.evaluation.cross_validation import cross_validate as run
    from stq_deploy.evaluation.engines import ENGINES
    from stq_deploy.research.training import default_reporter
    from stq_deploy.research.training.progress import Silent

    console = human_console()

    def tell(number: int, scores: FoldScores) -> None:
        found = ", ".join(f"{name} {100 * score.share:.2f} %" for name, score in scores.items())
        console.print(f"fold {number + 1} of {folds}: {found}")

    recipe = config.recipe
    for model in dict.fromkeys((recipe.warm_start, recipe.teacher if recipe.distillation else None)):
        if model is not None:
            console.print(
                f"Note: if {model} was trained on samples of {config.dataset}, folds test on samples it has seen, "
                "and accuracies come out too high.",
                markup=False,
            )
    validation = CrossValidation(config, folds, {n: a for n, a in attacks.items() if a is not None}, attack_samples)
    here = engine == "local"  # side by side, trainings would talk all at once
    kept = f"folds and epochs that were done are kept in {config.out}; the same command goes on from there"
    with interruptible(kept), made_folder(config.out) as folder, locked(folder):
        result = run(validation, ENGINES[engine], tell, partial(default_reporter, stderr=True) if here else Silent)
    if as_json:
        print_json(result.to_json())
    else:
        result_console(as_json).print(_table(result, folds))


def _table(result: CrossValidationResult, folds: int) -> Table:
    from stq_deploy.cli._layout import light_table

    table = light_table(f"Accuracy over {folds} folds, in percent")
    table.add_column("procedure")
    for title in ("mean", "95 % interval of the mean", "variance"):
        table.add_column(title, justify="right")
    for name, found in result.procedures.items():
        low, high = found.interval95
        table.add_row(name, f"{found.mean:.2f}", f"{low:.2f} .. {high:.2f}", f"{found.variance:.2f}")
    return table
