"""The page that `tools/reproduce` writes says what its figures and the paper's table say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from stq_deploy.evaluation.cross_validation import spread
from stq_deploy.evaluation.scores import Accuracy
from tests.helpers.markdown import rows_of


@pytest.fixture(name="reproduce", scope="module")
def _reproduce() -> ModuleType:
    from tools import reproduce

    return reproduce


def page_of(
    reproduce: ModuleType, rows: list[dict[str, Any]], validations: list[dict[str, Any]] | None = None, **more: Any
) -> str:
    page: str = reproduce.results_page(reproduce.Figures(rows, validations or [], **more))
    return page


def row(name: str, **changes: Any) -> dict[str, Any]:
    """Figures as `tools/reproduce table3` keeps them."""
    return {
        "model": name, "network": "stq", "variant": "pooled", "scheme": "stq", "dataset": "cifar10",
        "float": Accuracy(7840, 10_000).to_json(), "integer": Accuracy(7839, 10_000).to_json(),
        "predictions_differing_from_float": 1,
        "board": Accuracy(781, 1000).to_json() | {"name": "stm32h743", "differing": 2},
        "bytes": {"qstats": 420_008, "packed": 381_256, "linked": 407_804},
        "compiler": "zig", "command": "tools/reproduce table3", "commit": None,
        "training": {"seed": 3, "epochs": 32, "hours": 0.9, "recipe": "a recipe", "commit": "abc"},
    } | changes  # fmt: skip


def test_a_row_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [row("stq-cifar10")])
    (found,) = rows_of(page, scheme="STQ", paper="80.57")
    assert (found["ours_float"], found["ours_integer"]) == ("78.40 (77.6 .. 79.2)", "78.39 (77.6 .. 79.2)")
    assert found["board_right_differing"] == "781 of 1000, 2"
    assert (found["paper_kb"], found["qstats"]) == ("410", "420,008")
    assert (found["packed"], found["linked"]) == ("381,256", "407,804")
    (made,) = rows_of(page, model="`zoo:stq-cifar10`")
    assert (made["recipe"], made["epochs"], made["hours"], made["seed"]) == ("a recipe", "32", "0.9", "3")
    assert (made["trained_at_commit"], made["evaluated_at_commit"]) == ("abc", "not recorded")


def test_networks_that_do_not_come_are_not_yet_run(reproduce: ModuleType) -> None:
    for rows, missing in (([row("stq-cifar10")], 3 * 8 - 1), ([], 3 * 8)):
        before, _, after = page_of(reproduce, rows).partition("## Table V")
        assert len(rows_of(before, ours_float="not yet run")) == missing
        for ours in ("ours_stq", "ours_mlct"):
            assert len(rows_of(after, **{ours: "not yet run"})) == 15


def test_the_papers_spoken_words_stand_beside_the_papers_too(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [row("stq-speech", dataset="speech-commands")])
    (found,) = rows_of(page, scheme="STQ", paper="94.76")
    assert found["ours_float"].startswith("78.40")
    assert "## Other networks" not in page


def validation(**training: Any) -> dict[str, Any]:
    """As `stq-deploy cross-validate` leaves it."""
    scores = [{"none": Accuracy(right, 100).to_json(), "fgsm": Accuracy(3, 10).to_json()} for right in (50, 52)]
    return {
        "training": {"network": "stq", "variant": "strided", "scheme": "stq", "dataset": "cifar10", "seed": 7}
        | training,
        "attacks": {"samples": 10, "settings": {"fgsm": {"eps": 0.1, "norm": "inf"}}},
        "folds": scores,
        "procedures": {name: spread([fold[name]["top1"] for fold in scores]).to_json() for name in ("none", "fgsm")},
        "command": ["stq-deploy", "cross-validate", "--folds", "2"],
        "git_commits": ["abc"],
        "versions": {},
    }


def test_a_validation_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [], [validation(), validation(network="resnet_v1", scheme="fp")])
    ours = "2.00 (mean 51.00)"
    for dataset, procedure, stq, mlct, found in (
        ("CIFAR-10", "none", "3.04", "26.25", ours),
        ("CIFAR-10", "square", "11.78", "15.58", "not yet run"),
        ("SVHN", "none", "0.19", "0.1", "not yet run"),
    ):
        (line,) = rows_of(page, data_set=dataset, procedure=procedure)
        assert (line["paper_stq"], line["ours_stq"]) == (stq, found)
        assert (line["paper_mlct"], line["ours_mlct"]) == (mlct, found)
    own = page.partition("### stq (strided), scheme stq, on cifar10\n")[2]
    none = rows_of(own, procedure="none")[0]
    assert (none["mean"], none["variance"], none["by_chance"]) == ("51.00", "2.00", "24.99")
    assert (none["95_interval_of_the_mean"], none["samples_a_fold"]) == ("38.29 .. 63.71", "100")
    assert "2 folds, seed 7, trained at abc, by `stq-deploy cross-validate --folds 2`.\n" in page
    assert "Attacks: fgsm `eps=0.1`, `norm=inf`." in page


def test_other_validations_stand_by_themselves(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [], [validation(scheme="ternary"), validation(dataset="fashion-mnist")])
    assert len(rows_of(page, ours_stq="not yet run", ours_mlct="not yet run")) == 15
    assert "### stq (strided), scheme ternary, on cifar10\n" in page


def test_finished_validations_are_taken_over(
    reproduce: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce.page, "FOLD_FIGURES", tmp_path / "table5.json")
    monkeypatch.setattr(reproduce.page, "PAGE", tmp_path / "RESULTS.md")
    run = tmp_path / "run"
    run.mkdir()
    for found in (validation(), validation(scheme="fp"), validation(seed=8)):
        (run / "cross_validation.json").write_text(json.dumps(found))
        assert CliRunner().invoke(reproduce.main, ["table5", str(run)]).exit_code == 0
    kept = reproduce.Figures.kept()
    assert [(found["training"]["scheme"], found["training"]["seed"]) for found in kept.validations] == [
        ("fp", 7),
        ("stq", 8),
    ]
    assert reproduce.page.PAGE.read_text() == reproduce.results_page(kept)

    old = {key: value for key, value in validation().items() if key != "git_commits"}
    for content in ("{}", "[", json.dumps(old)):
        (run / "cross_validation.json").write_text(content)
        refused = CliRunner().invoke(reproduce.main, ["table5", str(run)])
        assert refused.exit_code == 1
        assert "no finished cross validation" in refused.output
        assert reproduce.Figures.kept() == kept


def test_other_networks_and_data_sets_have_a_table_of_their_own(reproduce: ModuleType) -> None:
    assert "## Other networks" not in page_of(reproduce, [row("stq-cifar10")])
    page = page_of(reproduce, [row("ds-cnn-speech", network="ds_cnn", dataset="speech-commands-other-words")])
    (found,) = rows_of(page, model="`zoo:ds-cnn-speech`", network="ds_cnn")
    assert (found["scheme"], found["data_set"]) == ("stq", "speech-commands-other-words")
    assert (found["float"], found["integer"]) == ("78.40 (77.6 .. 79.2)", "78.39 (77.6 .. 79.2)")


def cell(model: str = "stq-cifar10", role: str = "stq", **changes: Any) -> dict[str, Any]:
    """A cell of Table IV as `tools/reproduce table4` keeps it."""
    return {
        "role": role, "model": model, "model_sha256": "aa", "dataset": "cifar10", "features": False,
        "preset": "paper", "series": "Boundary", "attack": "boundary", "title": "Boundary", "norm": "2", "eps": "100",
        "storage": "float32", "settings": {"step": 0.01}, "note": "", "seed": 0, "versions": {}, "commit": None,
        "counts": [counted(100, 80, 0, 79)],
    } | changes  # fmt: skip


def counted(samples: int, clean: int, left: int, rounded: int) -> dict[str, Any]:
    return {"samples": samples, "clean": clean, "float": left, "rounded": rounded}


def test_attacked_networks_stand_beside_the_papers(reproduce: ModuleType) -> None:
    cells = [
        cell(counts=[counted(100, 80, 0, 79), counted(1000, 812, 3, 805)]),
        cell("resnet-v1-cifar10", "mlct", counts=[counted(16, 13, 1, 12)]),
        cell(preset="paper-fixed", storage="uint8", counts=[counted(100, 80, 2, 2)]),
    ]
    page = page_of(reproduce, [], attacks=cells)
    (found,) = rows_of(page, attack="Boundary")
    assert (found["paper_stq"], found["paper_resnetv1"]) == ("83.8", "82.9")
    assert found["ours_stq"] == "0 / 79 of 100 (clean 80); 3 / 805 of 1,000 (clean 812)"
    assert (found["ours_resnetv1"], found["ours_fp"]) == ("1 / 12 of 16 (clean 13)", "not yet run")
    (fixed,) = rows_of(page, attack="Boundary, rounded inside the search")
    assert fixed["ours_stq"] == "2 of 100 (clean 80)"
    assert "STQ keeps 3 of 1,000 (clean 812), and 805 of 1,000 after rounding" in page
    assert "With rounding inside the search it keeps 2 of 100." in page


def test_a_stand_in_is_named_so_and_takes_nobody_elses_place(reproduce: ModuleType) -> None:
    shipped = row("stq-fashion-mnist", dataset="fashion-mnist")
    page = page_of(reproduce, [shipped], attacks=[cell("stq-fashion-mnist", dataset="fashion-mnist")])
    before, _, after = page.partition("### Fashion-MNIST, in place of SVHN")
    assert "The paper's figures are of SVHN: another task." in after
    found = rows_of(after, attack="Boundary")[0]
    assert (found["paper_stq"], found["ours_stq"]) == ("97.3", "0 / 79 of 100 (clean 80)")
    assert {found[column] for column in found if column.startswith("ours")} == {found["ours_stq"], "not yet run"}
    assert not rows_of(before, attack="Boundary")
    assert "### SVHN, gray\n\nNot yet run: the package has no network" in before
    assert "### Fashion-MNIST, in place of SVHN\n\nNot yet run: `tools/reproduce table4`." in page_of(
        reproduce, [shipped]
    )


def test_words_on_table_3_and_5_quote_their_rows(reproduce: ModuleType) -> None:
    title = "### Table III beside the paper's claim"
    rows = [row(scheme, scheme=scheme) for scheme in ("fp", "stq", "ternary", "s-binary")]
    rows[0]["float"] = Accuracy(8800, 10_000).to_json()
    page = page_of(reproduce, rows, [validation()])
    assert "our twin has 88.00 (87.3 .. 88.6) % and STQ 78.40 (77.6 .. 79.2) %" in page
    assert title not in page_of(reproduce, rows[1:])
    assert "The paper reads a small variance" not in page  # this validation has no Square
    scores = [{"none": Accuracy(n, 100).to_json(), "square": Accuracy(n, 10).to_json()} for n in (5, 7)]
    spreads = {name: spread([fold[name]["top1"] for fold in scores]).to_json() for name in ("none", "square")}
    page = page_of(reproduce, rows, [validation() | {"folds": scores, "procedures": spreads}])
    assert "has a variance of 2.00 without an attack, and chance alone gives 5.64" in page
    assert "Under Square it has 200.00, and chance\nalone gives 240.00. With 10 attacked samples a fold" in page


def test_words_say_nothing_that_was_not_measured(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [])
    assert "### Table IV beside the paper's claim\n\nNot yet run.\n" in page
    for claim in ("**FGSM.**", "**PGD.**", "**Square.**", "**Boundary.**", "**The network", "Per margin, STQ has"):
        assert claim not in page
    assert "figures/fig4.svg" not in page
    assert "figures/fig5.svg" not in page


def test_jacobians_have_a_row_each_and_the_words_quote_them(reproduce: ModuleType) -> None:
    def network(model: str, scheme: str, figure: float, **more: Any) -> dict[str, Any]:
        norms = {"norm": 3 * figure, "by_margin": figure, "by_spread": 2 * figure, "relative_by_margin": figure / 4}
        twice = {name: 2 * value for name, value in norms.items()}
        places = [{"place": p, "gradient": norms, "difference": twice, "size": 0.5} for p in ("input", "conv2")]
        return {
            "model": model, "network": "stq", "variant": "pooled", "scheme": scheme, "regularized": False, "seed": 0,
            "samples": 1000, "right": 850, "margin": 2.5, "spread": 1.0, "places": places,
        } | more  # fmt: skip

    networks = [
        network("fp-cifar10", "fp", 12), network("stq-cifar10", "stq", 10), network("ternary-cifar10", "ternary", 11),
        network("4bit-cifar10", "4bit", 9),
        network("strided-fp-jr-seed2", "fp", 5, regularized=True, seed=2, variant="strided"),
        network("strided-fp-jr-seed1", "fp", 6, regularized=True, seed=1, variant="strided"),
    ]  # fmt: skip
    page = page_of(reproduce, [], jacobians=networks)
    (found,) = rows_of(page, network="stq-cifar10", scheme="stq")
    assert (found["samples_right"], found["j"], found["margin"]) == ("1,000, 850", "30.0", "2.50")
    assert (found["over_spread"], found["over_margin"]) == ("20.0", "10.0")
    assert (found["differences"], found["over_spread_2"], found["over_margin_2"]) == ("60.0", "40.0", "20.0")
    (found,) = rows_of(page, network="strided-fp-jr-seed2", scheme="fp + JR")
    assert found["seed"] == "2"
    (found,) = rows_of(page, network="fp-cifar10", conv2="3.00 / 6.00")
    assert found.keys() == {"network", "conv2"}
    assert "Per spread, STQ has 20.0 and its twin 24.0" in page
    assert "  FP + JR 6.0, 5.0 and 12.0, 10.0.\n" in page
    assert "Per margin, STQ has 10.0 and its twin 12.0" in page


def test_the_larger_count_of_a_cell_stays_unless_the_network_is_another(reproduce: ModuleType) -> None:
    from tools import paper_attacks

    small, large = cell(counts=[counted(16, 13, 0, 13)]), cell(counts=[counted(100, 80, 0, 79)])
    other = cell("fp-cifar10")
    assert paper_attacks.merged([large, other], [small]) == [other, large]
    assert paper_attacks.merged([small], [large]) == [large]
    for changed in ({"model_sha256": "bb"}, {"settings": {"step": 0.1}}):
        assert paper_attacks.merged([large], [small | changed]) == [small | changed]


def test_figures_4_and_5_are_drawn_of_the_cells(reproduce: ModuleType) -> None:
    from tools import paper_charts

    cells = [cell(series="C&W-L2"), cell(series="C&W-L2", preset="paper-fixed", counts=[counted(64, 51, 1, 1)])]
    drawn = paper_charts.fig4(cells)
    for text in ("clean: 80 of 100", "rounded afterwards: 79 of 100", "rounded inside the search: 1 of 64"):
        assert text in drawn
    budgets = [cell(series="FGSM", preset="fig5", eps=eps, counts=[counted(9, 8, n, n)]) for n, eps in
               enumerate(("0.3", "0.05"))]  # fmt: skip
    drawn = paper_charts.fig5(budgets)
    assert drawn.index(">clean<") < drawn.index(">0.05<") < drawn.index(">0.3<")
    assert paper_charts.fig4([]) is None
    assert paper_charts.fig5([]) is None


def test_the_commands_of_long_runs_are_commands(reproduce: ModuleType, tmp_path: Path) -> None:
    from stq_deploy.cli.cross_validate import cross_validate
    from stq_deploy.cli.train import train
    from stq_deploy.research.training.recipe import load_recipe, parse_changes
    from tools import fold_runs, strided_seeds

    for training in strided_seeds.TRAININGS:
        given = train.make_context("train", training.arguments(1, tmp_path, None)).params
        assert given["out"] == tmp_path / f"{training.name}-seed1"
        changes = {"epochs": given["epochs"], **parse_changes(list(given["settings"]))}
        recipe = load_recipe(given["recipe"], changes)
        assert (recipe.jacobian > 0) == (training.name == "fp-jr")
        assert (given["warm_start"] == str(tmp_path / "fp-seed1" / "model.h5")) == (training.name != "fp")
    listed = dict(fold_runs.commands(tmp_path, tmp_path, ()))
    assert listed.keys() >= {"cifar10-stq", "cifar10-resnet", "svhn-resnet", "speech-commands-ds-cnn"}
    for name, command in listed.items():
        assert command[0] == "cross-validate"
        assert cross_validate.make_context("cross-validate", command[1:]).params["out"] == tmp_path / name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["table4", "--at-most", "boundary"], "'boundary' is not ATTACK=N"),
        (["table4", "--at-most", "walk=3"], "unknown attack 'walk'"),
        (["table4", "--attack", "fgms"], "a slip for 'fgsm'"),
        (["table4", "--model", "stq-cifar"], "a slip for 'stq-cifar10'"),
        (["table4", "--trained", "svhn=model.h5"], "is not DATASET:ROLE=FILE"),
        (["fig5", "--model", "stq-fashion-mnist"], "no network 'stq-fashion-mnist' belongs here"),
        (["jacobian", "--model", "stq"], "there is no network 'stq' to measure"),
    ],
)
def test_slips_are_errors_before_anything_runs(reproduce: ModuleType, given: list[str], said: str) -> None:
    before = reproduce.page.PAGE.read_bytes()
    refused = CliRunner().invoke(reproduce.main, given)
    assert refused.exit_code in (1, 2)
    assert said in refused.output
    assert "Traceback" not in refused.output
    assert reproduce.page.PAGE.read_bytes() == before


def test_the_page_is_that_of_its_figures(reproduce: ModuleType) -> None:
    figures = reproduce.Figures.kept()
    assert reproduce.page.PAGE.read_text() == reproduce.results_page(figures)
    assert all(row["board"]["differing"] == 0 for row in figures.rows)


def test_the_drawings_are_those_of_the_figures(reproduce: ModuleType) -> None:
    """By their texts and labels, which hold every figure; where a line ends in the last digit, versions may differ."""
    from tools import paper_charts

    def said(svg: str) -> list[str]:
        return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]

    figures = reproduce.Figures.kept()
    for name, drawn in (("fig4", paper_charts.fig4(figures.attacks)), ("fig5", paper_charts.fig5(figures.budgets))):
        path = reproduce.page.DOCS / "figures" / f"{name}.svg"
        assert path.is_file() == (drawn is not None)
        if drawn is not None:
            assert said(path.read_text()) == said(drawn)
