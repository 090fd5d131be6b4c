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
    score = Accuracy(7840, 10_000).as_json()
    return {
        "model": name, "network": "stq", "variant": "pooled", "scheme": "stq", "dataset": "cifar10",
        "float": score, "integer": score, "predictions_differing_from_float": 0,
        "board": Accuracy(781, 1000).as_json() | {"name": "stm32h743", "differing": 0},
        "bytes": {"qstats": 420_008, "packed": 381_256, "linked": 407_804},
        "compiler": "zig", "command": "tools/reproduce table3", "commit": None,
        "training": {"seed": 3, "epochs": 32, "hours": 0.9, "recipe": "a recipe", "commit": "abc"},
    } | changes  # fmt: skip


def test_a_row_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [row("stq-cifar10")])
    (line,) = [line for line in page.splitlines() if line.startswith("| STQ | 80.57 |")]
    ours = "78.40 (77.6 .. 79.2)"
    assert line == f"| STQ | 80.57 | {ours} | {ours} | 781 of 1000, 0 | 410 | 420,008 | 381,256 | 407,804 |"
    assert "| `zoo:stq-cifar10` | a recipe | 32 | 0.9 | 3 | abc | not recorded |" in page


def test_networks_that_do_not_come_are_not_yet_run(reproduce: ModuleType) -> None:
    for rows, missing in (([row("stq-cifar10")], 3 * 8 - 1), ([], 3 * 8)):
        before, _, after = page_of(reproduce, rows).partition("## Table V")
        assert before.count("| not yet run |") == missing
        assert after.count("not yet run") == 2 * 15


def test_the_papers_spoken_words_stand_beside_the_papers_too(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [row("stq-speech", dataset="speech-commands")])
    assert "| STQ | 94.76 | 78.40" in page
    assert "## Other networks" not in page


def validation(**training: Any) -> dict[str, Any]:
    """As `stq-deploy cross-validate` leaves it."""
    scores = [{"none": Accuracy(right, 100).as_json(), "fgsm": Accuracy(3, 10).as_json()} for right in (50, 52)]
    return {
        "training": {"network": "stq", "variant": "strided", "scheme": "stq", "dataset": "cifar10", "seed": 7}
        | training,
        "attacks": {"samples": 10, "settings": {"fgsm": {"eps": 0.1, "norm": "inf"}}},
        "folds": scores,
        "procedures": {name: spread([fold[name]["top1"] for fold in scores]) for name in ("none", "fgsm")},
        "command": ["stq-deploy", "cross-validate", "--folds", "2"],
        "git_commits": ["abc"],
        "versions": {},
    }


def test_a_validation_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [], [validation(), validation(network="resnet_v1", scheme="fp")])
    ours = "2.00 (mean 51.00)"
    assert f"| CIFAR-10 | none | 3.04 | {ours} | 26.25 | {ours} |" in page
    assert "| CIFAR-10 | square | 11.78 | not yet run | 15.58 | not yet run |" in page
    assert "| SVHN | none | 0.19 | not yet run | 0.1 | not yet run |" in page
    assert "### stq (strided), scheme stq, on cifar10\n" in page
    assert "| none | 51.00 | 38.29 .. 63.71 | 2.00 | 24.99 | 100 |" in page
    assert "2 folds, seed 7, trained at abc, by `stq-deploy cross-validate --folds 2`.\n" in page
    assert "Attacks: fgsm `eps=0.1`, `norm=inf`." in page


def test_other_validations_stand_by_themselves(reproduce: ModuleType) -> None:
    page = page_of(reproduce, [], [validation(scheme="ternary"), validation(dataset="fashion-mnist")])
    assert page.partition("## Table V")[2].count("not yet run") == 2 * 15
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
    assert "| `zoo:ds-cnn-speech` | ds_cnn | stq | speech-commands-other-words | 78.40 (77.6 .. 79.2) |" in page


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


def lines_of(page: str, start: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith(start)]


def test_attacked_networks_stand_beside_the_papers(reproduce: ModuleType) -> None:
    cells = [
        cell(counts=[counted(100, 80, 0, 79), counted(1000, 812, 3, 805)]),
        cell("resnet-v1-cifar10", "mlct", counts=[counted(16, 13, 1, 12)]),
        cell(preset="paper-fixed", storage="uint8", counts=[counted(100, 80, 2, 2)]),
    ]
    page = page_of(reproduce, [], attacks=cells)
    assert lines_of(page, "| Boundary |") == [
        "| Boundary | 83.8 | 0 / 79 of 100 (clean 80); 3 / 805 of 1,000 (clean 812) | 82.9 | 1 / 12 of 16 (clean 13) | "
        "not yet run |"
    ]
    (fixed,) = lines_of(page, "| Boundary, rounded inside the search |")
    assert "| 2 of 100 (clean 80) |" in fixed
    assert "STQ keeps 3 of 1,000 (clean 812), and 805 of 1,000 after rounding" in page
    assert "With rounding inside the search it keeps 2 of 100." in page


def test_a_stand_in_is_named_so_and_takes_nobody_elses_place(reproduce: ModuleType) -> None:
    shipped = row("stq-fashion-mnist", dataset="fashion-mnist")
    page = page_of(reproduce, [shipped], attacks=[cell("stq-fashion-mnist", dataset="fashion-mnist")])
    before, _, after = page.partition("### Fashion-MNIST, in place of SVHN")
    assert "The paper's figures are of SVHN: another task." in after
    assert lines_of(after, "| Boundary |")[0].startswith(
        "| Boundary | 97.3 | 0 / 79 of 100 (clean 80) | 94.0 | not yet"
    )
    assert not lines_of(before, "| Boundary |")
    assert "### SVHN, gray\n\nNot yet run: the package has no network" in before
    assert "### Fashion-MNIST, in place of SVHN\n\nNot yet run: `tools/reproduce table4`." in page_of(
        reproduce, [shipped]
    )


def test_words_on_table_3_and_5_quote_their_rows(reproduce: ModuleType) -> None:
    title = "### Table III beside the paper's claim"
    rows = [row(scheme, scheme=scheme) for scheme in ("fp", "stq", "ternary", "s-binary")]
    rows[0]["float"] = Accuracy(8800, 10_000).as_json()
    page = page_of(reproduce, rows, [validation()])
    assert "our twin has 88.00 (87.3 .. 88.6) % and STQ 78.40 (77.6 .. 79.2) %" in page
    assert title not in page_of(reproduce, rows[1:])
    assert "The paper reads a small variance" not in page  # this validation has no Square
    scores = [{"none": Accuracy(n, 100).as_json(), "square": Accuracy(n, 10).as_json()} for n in (5, 7)]
    spreads = {name: spread([fold[name]["top1"] for fold in scores]) for name in ("none", "square")}
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
        places = [{"place": p, "gradient": norms, "difference": norms, "size": 0.5} for p in ("input", "conv2")]
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
    assert "| stq-cifar10 | stq | 0 | 1,000, 850 | 30.0 | 20.0 | 10.0 | 30.0 | 20.0 | 10.0 | 2.50 |" in page
    assert "| strided-fp-jr-seed2 | fp + JR | 2 |" in page
    assert lines_of(page, "| fp-cifar10 | 3") == ["| fp-cifar10 | 3.00 / 3.00 |"]
    assert "Per spread, STQ has 20.0 and its twin 24.0" in page
    assert "  FP + JR 6.0, 5.0 and 6.0, 5.0.\n" in page
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
