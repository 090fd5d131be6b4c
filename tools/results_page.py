"""docs/RESULTS.md, from the figures in docs/figures and the paper's tables in docs/paper alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from stq_deploy.evaluation.robustness.presets import load_preset
from stq_deploy.zoo.schemes import SCHEMES

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES = DOCS / "figures" / "table3.json"
ATTACK_FIGURES = DOCS / "figures" / "table4.json"
FOLD_FIGURES = DOCS / "figures" / "table5.json"
BUDGET_FIGURES = DOCS / "figures" / "fig5.json"
JACOBIAN_FIGURES = DOCS / "figures" / "jacobian.json"
PAPER = DOCS / "paper" / "table3_clean.csv"
PAPER_ATTACKS = DOCS / "paper" / "table4_robustness.csv"
PAPER_FOLDS = DOCS / "paper" / "table5_kfold_variance.csv"
PAGE = DOCS / "RESULTS.md"
PAPER_COUNT = 100
"""Samples that the paper attacks on CIFAR-10."""

Rows = list[dict[str, Any]]


class PaperDataset(NamedTuple):
    """A data set of the paper.

    Attributes:
        name: here.
        column: in Table III.
        title: for headings.
        label: in Tables IV and V.
        mlct: the network of MLPerf Tiny that the paper compares with on it.
        mlct_label: that network's name in Table IV.
        stand_in: the data set that takes its place in Table IV, as this one is not at hand; "" if it is.
        stand_in_title: for headings.
    """

    name: str
    column: str
    title: str
    label: str
    mlct: str
    mlct_label: str
    stand_in: str = ""
    stand_in_title: str = ""


DATASETS = (
    PaperDataset("cifar10", "cifar10", "CIFAR-10, gray", "CIFAR-10", "resnet_v1", "ResNetv1"),
    PaperDataset(
        "svhn", "svhn", "SVHN, gray", "SVHN", "resnet_v1", "ResNetv1",
        "fashion-mnist", "Fashion-MNIST, in place of SVHN",
    ),
    PaperDataset(
        "speech-commands", "gsc", "Speech Commands, the paper's twelve words", "GSC", "ds_cnn", "DS-CNN",
        "speech-commands-other-words", "Speech Commands, twelve other words, in place of the paper's",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Everything that the page shows.

    Attributes:
        rows: of Table III, and of other networks (`reproduce table3`).
        validations: of Table V (`table5`).
        attacks: cells of Table IV and Fig. 4 (`table4`).
        budgets: cells of Fig. 5 (`fig5`).
        jacobians: networks whose Jacobians were measured (`jacobian`).
    """

    rows: Rows = field(default_factory=list)
    validations: Rows = field(default_factory=list)
    attacks: Rows = field(default_factory=list)
    budgets: Rows = field(default_factory=list)
    jacobians: Rows = field(default_factory=list)

    @classmethod
    def kept(cls) -> Figures:
        """Those in docs/figures."""
        return cls(
            rows=_read(FIGURES, "rows"),
            validations=_read(FOLD_FIGURES, "validations"),
            attacks=_read(ATTACK_FIGURES, "cells"),
            budgets=_read(BUDGET_FIGURES, "cells"),
            jacobians=_read(JACOBIAN_FIGURES, "networks"),
        )


def _read(path: Path, name: str) -> Rows:
    found: Rows = json.loads(path.read_text(encoding="utf-8"))[name] if path.is_file() else []
    return found


def results_page(figures: Figures) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, of our own figures
    )
    environment.filters["accuracy"] = _accuracy
    environment.filters["variance"] = _variance
    environment.filters["entries"] = lambda settings: ", ".join(f"`{name}={value}`" for name, value in settings.items())
    environment.filters["attacked"] = _attacked
    template = environment.from_string(Path(__file__).with_name("results.md.jinja").read_text())
    names = [dataset.name for dataset in DATASETS]
    stq = {(row["dataset"], row["scheme"]): row for row in figures.rows if row["network"] == "stq"}
    return template.render(
        schemes=[SCHEMES[name] for name in SCHEMES],
        paper={
            line["scheme"].lower().replace("-bit", "bit"): line
            for line in csv.DictReader(PAPER.read_text().splitlines())
        },
        datasets=DATASETS,
        stq=stq,
        others=[row for row in figures.rows if row["network"] != "stq" or row["dataset"] not in names],
        rows=figures.rows,
        validations=figures.validations,
        paper_folds=list(csv.DictReader(PAPER_FOLDS.read_text().splitlines())),
        validation_of=_by_column(figures.validations),
        paper_attacks=_paper_attacks(),
        attack_tables=_attack_tables(figures),
        cell=lambda *place: _cell(figures.attacks, *place),
        budget=lambda *place: _cell(figures.budgets, *place),
        budgets=figures.budgets,
        budget_rows=_budget_rows(figures.budgets),
        jacobians=figures.jacobians,
        seeds=_seeds(figures.jacobians),
        jacobian_of=lambda name: next((one for one in figures.jacobians if one["model"] == name), None),
        place=lambda network, name: next(p for p in network["places"] if p["place"] == name),
    )


def _by_column(validations: Rows) -> dict[tuple[str, str], dict[str, Any]]:
    """Those that stand beside the paper's, by (its name of the data set, its column)."""
    found = {}
    for validation in validations:
        training = validation["training"]
        for dataset in DATASETS:
            if training["dataset"] == dataset.name and training["network"] == "stq" and training["scheme"] == "stq":
                found[dataset.label, "stq"] = validation
            elif (
                training["dataset"] == dataset.name
                and training["network"] == dataset.mlct
                and training["scheme"] == "fp"
            ):
                found[dataset.label, "mlct"] = validation
    return found


@dataclass(frozen=True)
class AttackTable:
    """A data set's part of Table IV.

    Attributes:
        title: of the data set.
        note: what differs from the paper's.
        mlct: name of MLPerf Tiny's network.
        shipped: whether a network of this data set comes with the package.
        features: whether its samples are features.
        lines: (title of the attack, the paper's STQ and MLCT, our cells of STQ, MLCT and FP or None).
    """

    title: str
    note: str
    mlct: str
    shipped: bool
    features: bool
    lines: list[tuple[str, str, str, dict[str, Any] | None, dict[str, Any] | None, dict[str, Any] | None]]


def _paper_attacks() -> dict[tuple[str, str], dict[str, str]]:
    """The paper's Table IV: (data set, model) -> its line, in percent."""
    return {(line["dataset"], line["model"]): line for line in csv.DictReader(PAPER_ATTACKS.read_text().splitlines())}


def _attack_tables(figures: Figures) -> list[AttackTable]:
    paper = _paper_attacks()
    tables = []
    for dataset in DATASETS:
        theirs = (paper[dataset.label, "STQ"], paper[dataset.label, dataset.mlct_label])
        tables.append(_attack_table(dataset.title, "", dataset, dataset.name, figures, theirs))
        if dataset.stand_in:
            note = f"The paper's figures are of {dataset.label}: another task."
            tables.append(_attack_table(dataset.stand_in_title, note, dataset, dataset.stand_in, figures, theirs))
    return tables


def _attack_table(
    title: str, note: str, dataset: PaperDataset, name: str, figures: Figures, paper: Sequence[dict[str, str]]
) -> AttackTable:
    mine = [cell for cell in figures.attacks if cell["dataset"] == name]
    lines = []
    for preset, said in (("paper", ""), ("paper-fixed", ", rounded inside the search")):
        for series in load_preset(preset).series:
            theirs = [line.get(series.steps[0].attack, "") or "" for line in paper]
            ours = [
                next((c for c in mine if (c["role"], c["preset"], c["series"]) == (role, preset, series.name)), None)
                for role in ("stq", "mlct", "fp")
            ]
            lines.append((series.name + said, *theirs, *ours))
    shipped = any(row["dataset"] == name for row in figures.rows)
    features = any(cell["features"] for cell in mine)
    return AttackTable(title, note, dataset.mlct_label, shipped, features, lines if mine else [])


def _cell(cells: Rows, model: str, preset: str, series: str, eps: str | None = None) -> dict[str, Any] | None:
    """The largest count of a cell, with what it is of."""
    for cell in cells:
        if (cell["model"], cell["preset"], cell["series"]) == (model, preset, series) and eps in (None, cell["eps"]):
            count: dict[str, Any] = cell["counts"][-1]
            return count
    return None


def _budget_rows(cells: Rows) -> list[tuple[str, str, list[dict[str, Any] | None]]]:
    """Rows of Fig. 5: (series, budget, the cells of STQ, FP and ResNetV1)."""
    places = dict.fromkeys((series.name, eps) for series in load_preset("fig5").series for eps in series.eps)
    return [
        (
            series,
            eps,
            [
                next((c for c in cells if (c["model"], c["series"], c["eps"]) == (model, series, eps)), None)
                for model in ("stq-cifar10", "fp-cifar10", "resnet-v1-cifar10")
            ],
        )
        for series, eps in places
    ]


def _seeds(networks: Rows) -> list[tuple[str, str, str]]:
    """Strided networks by kind: (title, the norms over the margin by seed from gradients, and from differences)."""
    kinds: dict[str, Rows] = {}
    for network in sorted(networks, key=lambda one: int(one["seed"])):
        if network["variant"] == "strided":
            title = SCHEMES[network["scheme"]].title + (" + JR" if network["regularized"] else "")
            kinds.setdefault(title, []).append(network["places"][0])
    return [
        (title, *(", ".join(f"{place[way]['by_margin']:.1f}" for place in found) for way in ("gradient", "difference")))
        for title, found in kinds.items()
    ]


def _attacked(cell: dict[str, Any] | None) -> str:
    """A cell of Table IV or Fig. 5: for the paper's count of samples, and for all that there are."""
    if cell is None:
        return "not yet run"
    counts = {count["samples"]: count for count in cell["counts"]}
    shown = [count for n, count in counts.items() if n == PAPER_COUNT or n == max(counts)]
    rounds = cell["storage"] != "uint8"
    return "; ".join(
        f"{count['float']}{' / ' + str(count['rounded']) if rounds else ''} of {count['samples']:,} "
        f"(clean {count['clean']})"
        for count in shown
    )


def _accuracy(score: dict[str, Any]) -> str:
    low, high = score["wilson95"]
    return f"{100 * score['top1']:.2f} ({100 * low:.1f} .. {100 * high:.1f})"


def _variance(validation: dict[str, Any] | None, procedure: str) -> str:
    if validation is None or procedure not in validation["procedures"]:
        return "not yet run"
    found = validation["procedures"][procedure]
    return f"{found['variance']:.2f} (mean {found['mean']:.2f})"
