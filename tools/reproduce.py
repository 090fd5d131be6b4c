"""The paper's tables and figures, from the shipped networks; each command rewrites docs/RESULTS.md.

`table3`: accuracy and bytes of flash. `table4`, `fig4`, `fig5`: accuracy under attack. `table5`: spread over folds.
`jacobian`: the paper's theorem, measured. Long commands keep finished parts, and continue where they stopped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import jinja2

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.files import write_whole
from stq_deploy.targets.boards import load_board
from stq_deploy.zoo.shipped import shipped_models
from tools import results_page as page
from tools.results_page import DATASETS, Figures, results_page

STATE = Path("out/reproduce")
"""Folder of the finished parts of long commands."""


@click.group()
def main() -> None:
    """Evaluate the shipped networks, and write docs/RESULTS.md."""


@main.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: as for `train`]")
@click.option("--board", "board_name", default="stm32h743", help="To build for, and to run on, emulated.")
@click.option("--on-board", default=1000, help="Test samples to run on the emulated board.")
@click.option("--limit", type=click.IntRange(min=1), help="Only N test samples: a trial, which writes nothing.")
@click.option("--model", "names", multiple=True, help="Only this shipped model: the others' figures are kept.")
def table3(data: Path | None, board_name: str, on_board: int, limit: int | None, names: tuple[str, ...]) -> None:
    """Re-evaluate every shipped network and rewrite the table."""
    from tools.shipped_rows import shipped_row

    with _errors_for_people():
        board = load_board(board_name)
        chosen = [model for name, model in shipped_models().items() if not names or name in names]
        rows = {model.name: shipped_row(model, data, board, on_board, limit) for model in chosen}
    if limit is None:
        # read only now: another network may have been evaluated meanwhile
        kept = {row["model"]: row for row in Figures.kept().rows}
        rows = {name: (kept | rows)[name] for name in shipped_models() if name in kept | rows}
        _keep(page.FIGURES, {"board": board.name, "rows": list(rows.values())})
    sys.exit(1 if any(row["board"]["differing"] for row in rows.values()) else 0)


def _attack_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the options of commands that attack networks."""
    for option in (
        click.option("--state", type=click.Path(path_type=Path), default=STATE, help="Folder of finished shards."),
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: as `train`]"),
        click.option("--samples", type=click.IntRange(0, 1000), default=100, help="0: take over what is finished."),
        click.option("--at-most", "limits", multiple=True, metavar="ATTACK=N", help="Fewer samples for a slow attack."),
        click.option("--attack", "attacks", multiple=True, help="Only this attack, such as fgsm; several times."),
        click.option("--model", "names", multiple=True, help="Only this model; the others' figures are kept."),
    ):
        command = option(command)
    return command


@main.command(context_settings={"show_default": True})
@_attack_options
@click.option(
    "--trained",
    multiple=True,
    metavar="DATASET:ROLE=FILE",
    help="Also a network of yours, for a data set of which none is shipped. ROLE: stq, mlct or fp.",
)
def table4(trained: tuple[str, ...], **chosen: Any) -> None:
    """Attack the paper's networks by the presets paper and paper-fixed, and rewrite Table IV and Fig. 4.

    CPU seconds a sample on CIFAR-10: FGSM, PGD and Square below 1, C&W 1, Boundary and ZOO 3 to 40 each.
    """
    from tools.paper_attacks import Subject, subject_of

    with _errors_for_people():
        subjects = []
        for role, name in _shipped_in_table4():
            subjects.append((role, subject_of(name, chosen["data"])))
        for text in trained:
            place, _, file = text.partition("=")
            dataset, _, role = place.partition(":")
            if role not in ("stq", "mlct", "fp") or not file:
                raise click.BadParameter(f"{text!r} is not DATASET:ROLE=FILE", param_hint="--trained")
            subjects.append((role, Subject(file, dataset, chosen["data"])))
        _attack_all(page.ATTACK_FIGURES, subjects, ("paper", "paper-fixed"), **chosen)
    _draw_fig4()


@main.command()
def fig4() -> None:
    """Draw Fig. 4 again from the figures that `table4` keeps."""
    _draw_fig4()
    _write_page()


@main.command(context_settings={"show_default": True})
@_attack_options
def fig5(**chosen: Any) -> None:
    """Attack at the budgets of the paper's Fig. 5, each by itself, and redraw it.

    CPU seconds a sample: FGSM and PGD below 1, Square up to 20 where a sample stands.
    """
    from tools.paper_attacks import subject_of
    from tools.paper_charts import NETWORKS
    from tools.paper_charts import fig5 as draw

    with _errors_for_people():
        subjects = [("", subject_of(name, chosen["data"])) for name in NETWORKS]
        _attack_all(page.BUDGET_FIGURES, subjects, ("fig5",), **chosen)
    drawn = draw(Figures.kept().budgets)
    if drawn is not None:
        write_whole(page.BUDGET_FIGURES.with_suffix(".svg"), drawn)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
def table5(runs: tuple[Path, ...]) -> None:
    """Take over finished cross validations, `stq-deploy cross-validate --out RUN`, and rewrite the table.

    One of the same network, variant, scheme and data set replaces the former.
    """
    kept = Figures.kept()
    validations = {_validated(found): found for found in kept.validations}
    for run in runs:
        try:
            found = json.loads((run / "cross_validation.json").read_text(encoding="utf-8"))
            validations[_validated(found)] = found
            ordered = [validations[key] for key in sorted(validations)]
            results_page(Figures(kept.rows, ordered, kept.attacks, kept.budgets, kept.jacobians))
        except (OSError, ValueError, KeyError, jinja2.UndefinedError) as error:
            raise click.ClickException(
                f"no finished cross validation in {run}, or one of an older version ({error}); cross-validate once more"
            ) from error
    _keep(page.FOLD_FIGURES, {"validations": ordered})


@main.command(context_settings={"show_default": True})
@click.option("--state", type=click.Path(path_type=Path), default=STATE, help="Folder of finished folds.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: as for `train`]")
@click.option("--only", multiple=True, help="Only this validation, by its name; several times.")
@click.option("--list", "listed", is_flag=True, help="Print the commands and run nothing.")
def folds(state: Path, data: Path | None, only: tuple[str, ...], listed: bool) -> None:
    """Run the cross validations that Table V needs, with short trainings, and take them over."""
    from tools import fold_runs

    for name, command in fold_runs.commands(state / "folds", data, only):
        click.echo(f"{name}: stq-deploy {' '.join(command)}")
        if not listed:
            fold_runs.run(command)
            table5.callback((state / "folds" / name,))  # type: ignore[misc]


@main.command(context_settings={"show_default": True})
@click.option("--state", type=click.Path(path_type=Path), default=STATE, help="Folder of finished chunks.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.  [default: as for `train`]")
@click.option("--samples", type=click.IntRange(1, 1000), default=1000, help="Test samples to measure at.")
@click.option("--train", "train", is_flag=True, help="First train strided networks with three seeds: hours.")
@click.option("--model", "names", multiple=True, help="Only this network; the others' figures are kept.")
def jacobian(state: Path, data: Path | None, samples: int, train: bool, names: tuple[str, ...]) -> None:
    """Measure Jacobian norms of every CIFAR-10 network, shipped or trained by --train, and rewrite their table."""
    from tools import jacobian_table as table
    from tools.strided_seeds import train_all

    with _errors_for_people():
        if train:
            train_all(state / "seeds", data)
        known = {one.subject.name: one for one in _networks_to_measure(state / "seeds", data)}
        for name in names:
            if name not in known:
                raise no_such(f"there is no network {name!r} to measure", name, known)
        chosen = [known[name] for name in names or known]
        found = {}
        for one in chosen:
            norms = table.measure(one, state / "jacobian", samples, click.echo)
            if norms is not None:
                found[one.subject.name] = table.row(one, norms)
    kept = {row["model"]: row for row in Figures.kept().jacobians}
    _keep(page.JACOBIAN_FIGURES, {"networks": list((kept | found).values())})


@main.command("page")
def only_page() -> None:
    """Rewrite docs/RESULTS.md from the figures that are kept, and run nothing."""
    _write_page()


def _shipped_in_table4() -> Iterator[tuple[str, str]]:
    """(role, name) of the shipped networks with a column in Table IV: none that was trained against attacks."""
    for dataset in DATASETS:
        for name, model in shipped_models().items():
            config = model.record.config
            recipe = config.recipe
            defended = recipe.get("adversary", "none") != "none" or any(
                recipe.get(entry, 0) for entry in ("noise", "certified_share", "jacobian", "jacobian_layers")
            )
            if config.dataset not in (dataset.name, dataset.stand_in) or defended:
                continue
            if config.network == "stq" and config.scheme in ("stq", "fp"):
                yield config.scheme, name
            elif config.network == dataset.mlct:
                yield "mlct", name


def _attack_all(
    figures: Path,
    subjects: list[tuple[str, Any]],
    presets: tuple[str, ...],
    *,
    state: Path,
    data: Path | None,
    samples: int,
    limits: tuple[str, ...],
    attacks: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    """Attack, and merge the finished parts into the figures."""
    from stq_deploy.research.attacks.registry import get_attack
    from tools import paper_attacks as cells

    known = [subject.name for _, subject in subjects]
    for name in names:
        if name not in known:
            raise no_such(f"no network {name!r} belongs here", name, known)
    most = _limits(limits)
    for name in (*attacks, *most):
        get_attack(name)
    found = []
    for role, subject in _at_hand([one for one in subjects if not names or one[1].name in names]):
        for preset in presets:
            for cell in cells.cells(subject, preset):
                if not attacks or cell.attack in attacks:
                    cells.attack(cell, state / "attacks", cells.wanted(samples, most, cell.attack), click.echo)
                done = cells.figures(cell, state / "attacks")
                found += [] if done is None else [{"role": role, **done}]
    kept = json.loads(figures.read_text(encoding="utf-8"))["cells"] if figures.is_file() else []
    _keep(figures, {"cells": cells.merged(kept, found)})


def _limits(texts: tuple[str, ...]) -> dict[str, int]:
    """Attack -> N, from --at-most ATTACK=N."""
    found = {}
    for text in texts:
        name, _, count = text.partition("=")
        if not count.isdecimal():
            raise click.BadParameter(f"{text!r} is not ATTACK=N, such as boundary=16", param_hint="--at-most")
        found[name] = int(count)
    return found


def _at_hand(subjects: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The networks whose data set can be read; a note names what the others lack.

    Raises:
        StqError: there is none.
    """
    missing = None
    read = 0
    for role, subject in subjects:
        try:
            count = len(subject.samples)
        except StqError as error:
            click.echo(f"{subject.name} is passed over: {error}", err=True)
            missing = error
            continue
        read += count
        yield role, subject
    if not read and missing is not None:
        raise missing


def _networks_to_measure(seeds: Path, data: Path | None) -> list[Any]:
    from tools.jacobian_table import Measured
    from tools.paper_attacks import Subject, subject_of
    from tools.strided_seeds import finished

    found = []
    for name, model in shipped_models().items():
        config = model.record.config
        if config.dataset == "cifar10":
            subject = subject_of(name, data)
            found.append(Measured(subject, config.network, config.variant, config.scheme, False, config.seed))
    for training, seed, file in finished(seeds):
        subject = Subject(str(file), "cifar10", data, label=f"strided-{training.name}-seed{seed}")
        regularized = training.recipe == "jacobian"
        found.append(Measured(subject, "stq", "strided", training.scheme, regularized, seed))
    return found


def _draw_fig4() -> None:
    from tools.paper_charts import fig4 as draw

    drawn = draw(Figures.kept().attacks)
    if drawn is not None:
        write_whole(page.ATTACK_FIGURES.with_name("fig4.svg"), drawn)


def _validated(validation: dict[str, Any]) -> tuple[str, str, str, str]:
    training = validation["training"]
    return training["dataset"], training["network"], training["variant"], training["scheme"]


def _keep(figures: Path, content: dict[str, Any]) -> None:
    write_whole(figures, json.dumps(content, indent=1) + "\n")
    click.echo(f"Wrote {figures.name}.")
    _write_page()


def _write_page() -> None:
    write_whole(page.PAGE, results_page(Figures.kept()))
    click.echo(f"Wrote {page.PAGE.name}.")


@contextmanager
def _errors_for_people() -> Iterator[None]:
    try:
        yield
    except StqError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException("stopped; what is finished is kept: the same command goes on from there") from None


if __name__ == "__main__":
    main()
