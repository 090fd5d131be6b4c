"""Robustness runs: resumable, right on networks whose robustness is known, and not fooled by a masked one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.intervals import wilson_interval
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.evaluation.robustness.flags import masking_flags
from stq_deploy.evaluation.robustness.presets import Preset, load_preset, preset_names
from stq_deploy.evaluation.robustness.record import RobustnessRecord, attacked_job, cost, worst_files
from stq_deploy.evaluation.robustness.run import SHARD, run
from stq_deploy.evaluation.robustness.summary import Summary, summarize
from stq_deploy.report.robustness_page import render_robustness_page
from stq_deploy.research.attacks.defence import RandomNoise
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras

SHAPE = (12, 12, 1)
PIXELS = 144
COUNT = 70
"""Two shards."""


def _preset(**changes: Any) -> Preset:
    steps = [
        {"attack": "fgsm", "alone": True},
        {"attack": "pgd", "alone": True, "settings": {"max_iter": "10"}},
        {"attack": "pgd", "check": "iterations", "settings": {"max_iter": "20"}},
        {"attack": "square", "settings": {"max_iter": "150"}},
    ]
    linf = {"name": "Linf", "norm": "inf", "eps": ["1/255", "2/255", "4/255"], "attack": steps}
    limit = {"name": "limit", "norm": "inf", "eps": ["64/255"], "attack": [{"attack": "pgd"}]}
    return Preset.model_validate({"title": "small", "samples": 8, "series": [linf, limit]} | changes)


@pytest.fixture(name="weights", scope="module")
def _weights() -> np.ndarray:
    return np.random.default_rng(4).choice([-1.0, 1.0], PIXELS)


@pytest.fixture(name="samples", scope="module")
def _samples(weights: np.ndarray) -> SampleSet:
    """Gray pictures; sample i is of class i % 2, by (i % 4 + 1) * 144 - 1 levels of the weighted sum.

    A class is left by moving every pixel by i % 4 + 1 levels, and by no less.
    """
    x = np.empty((COUNT, PIXELS), np.int64)
    for i in range(COUNT):
        picture = x[i]
        wanted = (1 if i % 2 == 0 else -1) * ((i % 4 + 1) * PIXELS - 1)
        picture[:] = np.random.default_rng(i).integers(100, 150, PIXELS)
        surplus = wanted - int((picture * weights).sum())
        step, rest = divmod(abs(surplus), PIXELS)
        sign = (np.sign(surplus) * weights).astype(np.int64)
        picture += sign * step
        picture[:rest] += sign[:rest]
        assert (picture * weights).sum() == wanted
    y = np.arange(COUNT, dtype=np.int64) % 2
    return SampleSet(x.reshape(COUNT, *SHAPE).astype(np.uint8), y, SampleMetadata(class_names=("plus", "minus")))


def _saved(weights: np.ndarray, factor: float, path: Path) -> Path:
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(2, use_bias=False)])
    model.set_weights([np.stack([weights, -weights], axis=1).astype(np.float32) * factor])
    model.save(path)
    return path


@pytest.fixture(name="model", scope="module")
def _model(weights: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(weights, 1.0, tmp_path_factory.mktemp("linear") / "linear.h5")


def _summary(model: Path, preset: Preset, samples: SampleSet, out: Path) -> Summary:
    return summarize(preset, run(attacked_job(model, preset, samples, 0, out)))


def test_worst_cases_are_those_known(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    found = _summary(model, _preset(), samples, tmp_path)
    assert found.clean.correct == found.integer_clean.correct == COUNT
    # A sample falls at i % 4 + 1 levels: of 70, 18 have i % 4 = 0, 18 have 1, 17 have 2 and 17 have 3.
    assert [row.worst.correct for row in found.series[0].rows] == [52, 34, 0]
    assert [row.integer.correct for row in found.series[0].rows] == [52, 34, 0]
    for row in found.series[0].rows:
        fgsm, pgd, longer, square = row.attacks
        assert fgsm.alone == pgd.alone == row.worst.correct
        assert (longer.gained, square.gained) == (0, 0)
        assert row.unconfirmed == 0
    first = found.first_order
    assert first.linear_linf * 255 == pytest.approx(np.median(np.arange(COUNT) % 4 + 1), rel=0.02)
    assert first.linear_l2 == pytest.approx(first.linear_linf * 12, rel=1e-3)
    assert first.achieved == pytest.approx(1, abs=1e-3)
    assert not any(flag.raised for flag in masking_flags(found, 2))
    assert all(flag.raised is not None for flag in masking_flags(found, 2))


def test_a_masked_network_is_caught(weights: np.ndarray, samples: SampleSet, tmp_path: Path) -> None:
    """Logits 10,000 times as large leave no class, and saturate the cross-entropy: its gradient underflows to 0."""
    model = _saved(weights, 10_000.0, tmp_path / "masked.h5")
    few = SampleSet(samples.x[::4], samples.y[::4], samples.metadata)  # those that one level breaks
    preset = _preset(
        series=[
            {
                "name": "Linf", "norm": "inf", "eps": ["24/255"],
                "attack": [
                    {"attack": "fgsm", "alone": True},
                    {"attack": "pgd", "alone": True, "settings": {"num_random_init": "0"}},
                    {"attack": "square", "settings": {"max_iter": "400"}},
                ],
            },
            {
                "name": "limit", "norm": "inf", "eps": ["64/255"],
                "attack": [{"attack": "pgd", "settings": {"num_random_init": "0"}}],
            },
        ]
    )  # fmt: skip
    raised = {f.name: f.raised for f in masking_flags(_summary(model, preset, few, tmp_path / "out"), 2)}
    assert raised["gradients are zero"]
    assert raised["black box beats white box"]
    assert raised["not at chance for a huge budget"]


def test_what_a_black_box_gains_before_any_gradient_is_no_sign(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    """Every attack of the presets paper-fixed and fig5 stands alone in its series: it gains all that it breaks."""
    square = {"attack": "square", "alone": True, "settings": {"max_iter": "150"}}
    found = {}
    for name, attacks in (("alone", [square]), ("first", [square, {"attack": "fgsm"}])):
        series = {"name": "Square", "norm": "inf", "eps": ["4/255"], "attack": attacks}
        summary = _summary(model, _preset(series=[series]), samples, tmp_path / name)
        assert summary.series[0].rows[0].attacks[0].gained > 2
        found |= {(name, flag.name): flag.raised for flag in masking_flags(summary, 2)}
    assert found["alone", "black box beats white box"] is found["first", "black box beats white box"] is None


def test_one_unit_of_two_classes_is_read_as_such(weights: np.ndarray, samples: SampleSet, tmp_path: Path) -> None:
    """Class 1 where the sigmoid is above 1/2: the integer network says what the float model says."""
    import qkeras
    import tf_keras

    inputs = tf_keras.Input(SHAPE)
    x = tf_keras.layers.Flatten()(qkeras.QActivation("quantized_relu(8,0)")(inputs))
    x = qkeras.QDense(1, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", use_bias=False)(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("sigmoid")(x))
    model.layers[-2].set_weights([-weights[:, None].astype(np.float32) / 2])
    model.save(tmp_path / "unit.h5")
    answers = (model.predict(samples.x / np.float32(255), verbose=0)[:, 0] > 0.5).astype(np.int64)
    assert 5 < answers.sum() < COUNT - 5
    found = _summary(tmp_path / "unit.h5", _preset(), SampleSet(samples.x, answers), tmp_path / "out")
    assert found.clean.correct == found.integer_clean.correct == COUNT
    for row in found.series[0].rows:
        assert row.integer.correct == row.worst.correct and row.unconfirmed == 0


def test_samples_of_another_model_are_refused_in_any_process(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    three = SampleSet(samples.x, samples.y + 1)
    with pytest.raises(StqError, match="a label is class 2, the model has 2 classes"):
        run(attacked_job(model, _preset(), three, 0, tmp_path), processes=2)
    with pytest.raises(StqError, match="the model takes"):
        run(attacked_job(model, _preset(), SampleSet(samples.x[:3, 1:], samples.y[:3]), 0, tmp_path))


def test_options_of_a_board_without_a_board_are_refused(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    save_samples(samples, tmp_path / "in.npz")
    given = ("robustness", model, "--sample-file", tmp_path / "in.npz", "--out", tmp_path / "out")
    for option in ("--port", "--boards"):
        done = invoke(*given, option, "2")
        assert done.exit_code == 1 and "--preset device" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_where_it_stopped(
    model: Path, samples: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stq_deploy.evaluation.robustness import run as run_module

    preset = _preset()
    whole = _summary(model, preset, samples, tmp_path / "whole")
    attacked: list[int] = []
    real = run_module.run_shard

    def counted(*arguments: Any, **named: Any) -> Any:
        attacked.append(int(arguments[4][0]))
        if len(attacked) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(run_module, "run_shard", counted)
    with pytest.raises(KeyboardInterrupt):
        _summary(model, preset, samples, tmp_path / "parts")
    assert _summary(model, preset, samples, tmp_path / "parts") == whole
    assert attacked == [0, SHARD, SHARD]
    assert _summary(model, preset, samples, tmp_path / "parts") == whole
    assert len(attacked) == 3
    # Another seed, and a damaged shard, are not taken for results of this run.
    (tmp_path / "parts" / "shards" / "000000.npz").write_bytes(b"PK\x03\x04 not whole")
    assert _summary(model, preset, samples, tmp_path / "parts") == whole
    run(attacked_job(model, preset, samples, 1, tmp_path / "parts"))
    assert attacked == [0, SHARD, SHARD, 0, 0, SHARD]


def test_the_command_leaves_all_files(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    import art.estimators.classification  # noqa: F401 - it closes a stream of absl's, see test_command.py

    save_samples(samples, tmp_path / "in.npz")
    preset = tmp_path / "mine.toml"
    preset.write_text(
        'title = "Mine <&"\nsamples = 5\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255", "2/255"]\n'
        '[[series.attack]]\nattack = "fgsm"\nalone = true\n[[series.attack]]\nattack = "pgd"\n'
    )
    out = tmp_path / "out"
    done = invoke(
        "robustness", model, "--preset", preset, "--sample-file", tmp_path / "in.npz", "--samples", "8", "--processes",
        "1", "--out", out, "--json",
    )  # fmt: skip
    found = json_of(done)
    assert found == json.loads((out / "robustness.json").read_text())
    assert [row["worst"]["correct"] for row in found["series"][0]["rows"]] == [6, 4]
    lines = (out / "robustness.csv").read_text().splitlines()
    assert lines[0] == "series,norm,eps,attack,right,samples,low95,high95,alone,alone_low95,alone_high95"
    assert any(line.startswith('Linf,inf,2/255,"worst case, integer",4,8,') for line in lines)
    low, high = wilson_interval(4, 8)
    both = f"Linf,inf,2/255,FGSM,4,8,{low:.4f},{high:.4f},4,{low:.4f},{high:.4f}"
    assert both in lines and f"Linf,inf,2/255,PGD,4,8,{low:.4f},{high:.4f},,," in lines
    (layer,) = found["sensitivity"]["layers"]
    assert layer["kernel"] and layer["ans"] > 0 and found["sensitivity"]["samples"] == 8
    page = (out / "robustness.html").read_text()
    assert "Which layers adversarial noise changes most" in page and layer["layer"] in page
    assert "Mine &lt;&amp;" in page and "data:image/png;base64," in page and "upper bound on robustness" in page
    worst = load_samples(out / "worst-Linf-2-255.npz")
    change = np.abs(worst.x.astype(int) - samples.x[:8].astype(int)).reshape(8, -1).max(axis=1)
    assert change.max() == 2
    scored = json_of(
        invoke(
            "evaluate", "--model", model, "--samples", out / "worst-Linf-2-255.npz", "--executor", "float", "--json"
        )
    )  # fmt: skip
    assert scored["correct"] == 4


def test_classes_without_names_are_those_of_the_model(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    """Not those of the labels: with one class, chance would be all samples, and no network could stand above it."""
    first = SampleSet(samples.x[::2], samples.y[::2])
    assert set(first.classes()) == {0}
    assert attacked_job(model, _preset(), first, 0, tmp_path).class_names == ("0", "1")


def test_a_lost_part_is_no_smaller_run(
    model: Path, samples: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stq_deploy.evaluation.robustness import run as run_module

    monkeypatch.setattr(run_module, "save_shard", lambda *_: None)
    with pytest.raises(StqError, match="cannot be read back"):
        run(attacked_job(model, _preset(), samples.first(4), 0, tmp_path))


def test_worst_pictures_rounded_out_of_their_budget_say_so(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    """1.6 levels become 2."""
    series = {"name": "a", "norm": "inf", "eps": ["8/1275"], "attack": [{"attack": "fgsm"}]}
    for storage, claimed in (("float32", "which can leave that budget"), ("uint8", "Linf 8/1275")):
        preset = _preset(series=[series | {"storage": storage}])
        job = attacked_job(model, preset, samples.first(4), 0, tmp_path / storage)
        (file,) = worst_files(job, run(job))
        assert file.samples.metadata.attack.threat_model.endswith(claimed)
        change = np.abs(file.samples.x.astype(int) - samples.x[:4].astype(int)).max()
        assert change == (2 if storage == "float32" else 1)


def test_every_shipped_preset_is_one() -> None:
    assert {"quick", "community", "paper", "paper-fixed", "fig5"} <= set(preset_names())
    for name in preset_names():
        preset = load_preset(name)
        for series in preset.series:
            for eps in series.budgets:
                for step in series.steps:
                    attack = step.at(eps, series.norm)
                    assert (attack.eps, attack.norm) == (float(eps), series.norm)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title =", "not a TOML file"),
        ('title = "x"\nsamples = 0\nseries = []', "samples"),
        (
            'title = "x"\nsamples = 1\n[[series]]\nname = "a"\nnorm = "inf"\neps = ["2/255", "1/255"]\n'
            '[[series.attack]]\nattack = "fgsm"',
            "ascend",
        ),
        (
            'title = "x"\nsamples = 1\n[[series]]\nname = "a"\nnorm = "inf"\neps = ["1/255"]\n'
            '[[series.attack]]\nattack = "deepfool"',
            "no attack 'deepfool'",
        ),
        (
            'title = "x"\nsamples = 1\n'
            + 2 * '[[series]]\nname = "a"\nnorm = "inf"\neps = ["1/255"]\n[[series.attack]]\nattack = "fgsm"\n',
            "two series are named 'a'",
        ),
        (
            'title = "x"\nsamples = 1\n[[series]]\nname = "a"\nnorm = "inf"\neps = ["1/0"]\n'
            '[[series.attack]]\nattack = "fgsm"',
            "divides by zero",
        ),
        (
            'title = "x"\nsamples = 1\n[[series]]\nname = "a"\nnorm = "1"\neps = ["1"]\n'
            '[[series.attack]]\nattack = "square"',
            "norm must be one of inf, 2",
        ),
        (
            'title = "x"\nsamples = 1\nseries_of = "quick"\n[[device.live]]\nattack = "boundary"\nnorm = "2"\n'
            'eps = "1"\nsamples = 1\nsettings = { max_queries = "9" }',
            "more than init_size",
        ),
        (
            'title = "x"\nsamples = 1\nseries_of = "quick"\n'
            + 2 * '[[device.live]]\nattack = "square"\nnorm = "2"\neps = "1"\nsamples = 1\n',
            "'square' twice",
        ),
    ],
)
def test_wrong_presets_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(StqError, match=message):
        load_preset(str(tmp_path / "p.toml"))
    with pytest.raises(StqError, match="choose one of: community"):
        load_preset("fast")


def test_a_defended_network_is_scored_under_noise_that_no_attack_has_seen(
    model: Path, samples: SampleSet, tmp_path: Path
) -> None:
    """The draws of each budget are those that `evaluate --noise` makes of the file with the worst pictures."""
    save_samples(samples, tmp_path / "in.npz")
    (tmp_path / "p.toml").write_text(
        'title = "x"\nsamples = 5\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255", "3/255"]\n'
        '[[series.attack]]\nattack = "pgd"\nsettings = { max_iter = "3" }\n'
    )
    out = tmp_path / "out"
    arguments = [
        "robustness", model, "--preset", tmp_path / "p.toml", "--sample-file", tmp_path / "in.npz", "--samples", "66",
        "--processes", "1", "--seed", "5", "--out", out,
    ]  # fmt: skip
    found = json_of(invoke(*arguments, "--defence", "rnd:5.1", "--eot", "2", "--json"))
    assert found["defence"] == {"name": "rnd", "sigma_levels": 5.1, "eot": 2, "fresh_draws": 5}
    for row, name in zip(found["series"][0]["rows"], ("1-255", "3-255"), strict=True):
        scored = json_of(
            invoke(
                "evaluate", "--model", model, "--samples", out / f"worst-Linf-{name}.npz", "--executor", "float",
                "--noise", "5.1", "--noise-seed", "5", "--noise-draws", "5", "--json",
            )
        )  # fmt: skip
        drawn = [draw["correct"] for draw in scored["noise"]["draws"]]
        assert drawn == [one["correct"] for one in row["fresh"]]
        assert len(set(drawn)) > 1
        assert row["worst"]["correct"] < min(drawn)  # some successes were luck with the noise
    assert "fresh noise" in (out / "robustness.html").read_text()
    assert "fresh noise, draw 5" in (out / "robustness.csv").read_text()
    shown = invoke(*arguments, "--defence", "rnd:5.1", "--eot", "2")
    assert "fresh noise" in shown.output
    plain = json_of(invoke(*arguments, "--json"))  # another run than the defended one
    assert plain["defence"] is None and plain["series"][0]["rows"][0]["fresh"] == []


def test_a_source_adds_a_column_of_transfer(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    save_samples(samples, tmp_path / "in.npz")
    (tmp_path / "p.toml").write_text(
        'title = "x"\nsamples = 5\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255", "2/255"]\n'
        '[[series.attack]]\nattack = "noise"\nalone = true\n'
    )
    arguments = [
        "robustness", model, "--preset", tmp_path / "p.toml", "--sample-file", tmp_path / "in.npz", "--samples", "8",
        "--processes", "1", "--out", tmp_path / "out", "--json",
    ]  # fmt: skip
    found = json_of(invoke(*arguments, "--from", model))
    assert found["source_model"]["sha256"] == found["model_sha256"]
    for row, left in zip(found["series"][0]["rows"], (6, 4), strict=True):
        noise, transfer = row["attacks"]
        assert (noise["attack"], noise["alone"], transfer["attack"], transfer["alone"]) == (
            "Random noise",
            8,
            "Transfer",
            left,
        )
    without = json_of(invoke(*arguments))
    assert [one["attack"] for one in without["series"][0]["rows"][0]["attacks"]] == ["Random noise"]
    (tmp_path / "p.toml").write_text(
        'title = "x"\nsamples = 5\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255"]\n'
        '[[series.attack]]\nattack = "transfer"\n'
    )
    assert "--from MODEL" in invoke(*arguments[:-1]).output


def test_no_two_attacks_of_a_run_draw_the_same_numbers(
    model: Path, samples: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the attacks nor the noise of a defense: of two series, budgets or steps each has its own seed."""
    from stq_deploy.evaluation.robustness import shard as shard_module

    drawn: list[int] = []
    noise: list[tuple[int, ...]] = []
    streams, around = shard_module.Streams, RandomNoise.around

    def counted(seed: int, numbers: list[int]) -> Any:
        drawn.append(seed)
        return streams(seed, numbers)

    def heard(self: RandomNoise, victim: Any, format: Any, seeds: list[int], *rest: Any) -> Any:
        noise.append(tuple(seeds))
        return around(self, victim, format, seeds, *rest)

    monkeypatch.setattr(shard_module, "Streams", counted)
    monkeypatch.setattr(RandomNoise, "around", heard)
    steps = [{"attack": "noise", "alone": True, "settings": {"draws": "2"}}, {"attack": "noise"}]
    series = [
        {"name": name, "norm": norm, "eps": ["1/255", "2/255"], "attack": steps}
        for name, norm in (("a", "inf"), ("b", "inf"), ("c", "2"))
    ]
    run(attacked_job(model, _preset(series=series), samples.first(4), 0, tmp_path, RandomNoise(0.5)))
    assert len(drawn) == len(set(drawn)) == len(noise) == len(set(noise)) == 12


def test_steps_of_one_title_are_told_apart(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    """The weaker of two runs of PGD comes first here: flag, page, CSV and costs must not take it for both."""
    weak = {"max_iter": "1", "num_random_init": "0", "eps_step": "1/2550"}
    steps = [
        {"attack": "fgsm", "alone": True},
        {"attack": "pgd", "alone": True, "settings": weak},
        {"attack": "pgd", "alone": True, "settings": {"max_iter": "10"}},
        {"attack": "fgsm", "alone": True},
    ]
    series = {"name": "Linf", "norm": "inf", "eps": ["1/255", "2/255"], "attack": steps}
    preset = _preset(series=[series])
    titles = preset.series[0].titles
    assert titles == (
        "FGSM (1)",
        "PGD, eps_step 1/2550, max_iter 1, num_random_init 0",
        "PGD, eps_step default, max_iter 10, num_random_init default",
        "FGSM (2)",
    )
    job = attacked_job(model, preset, samples.first(8), 0, tmp_path)
    shards = run(job)
    found = summarize(preset, shards)
    counts = [(attack.attack, attack.alone) for attack in found.series[0].rows[1].attacks]
    assert counts == list(zip(titles, (4, 8, 4, 4), strict=True))
    (flag,) = (flag for flag in masking_flags(found, 2) if flag.name == "single step beats iterations")
    assert flag.raised is False
    costs = cost(preset, shards)
    assert set(costs["Linf"].by_attack) == set(titles)
    page = render_robustness_page(RobustnessRecord(job, preset, "p", "x", found, (), 0, (), costs, (), None), shards)
    for title in titles:
        assert page.count(title) >= 2  # the table's head and the curve's legend


def test_files_of_the_users_are_not_replaced(model: Path, samples: SampleSet, tmp_path: Path) -> None:
    save_samples(samples, tmp_path / "in.npz")
    (tmp_path / "p.toml").write_text(
        'title = "x"\nsamples = 4\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255"]\n'
        '[[series.attack]]\nattack = "fgsm"\n'
    )
    other = model.parent / "other.h5"
    other.write_bytes(model.read_bytes())
    given = ["--preset", tmp_path / "p.toml", "--sample-file", tmp_path / "in.npz", "--processes", "1"]
    one, both = ["robustness", model, *given], ["robustness", model, other, *given]
    mine = {"worst-Linf-1-255.npz": one, "sweep.csv": both}
    for name, command in mine.items():
        out = tmp_path / name
        out.mkdir()
        for content in (b"mine", (tmp_path / "in.npz").read_bytes()):
            (out / name).write_bytes(content)
            done = invoke(*command, "--out", out)
            assert done.exit_code == 1 and name in done.stderr and "there is a file already" in done.stderr
            assert (out / name).read_bytes() == content and [path.name for path in out.iterdir()] == [name]
        (out / name).unlink()
        for _ in range(2):  # its own former files may be replaced
            assert invoke(*command, "--out", out).exit_code == 0
        assert (out / name).is_file()


def test_series_that_would_share_a_file_are_refused(tmp_path: Path) -> None:
    series = {"norm": "inf", "eps": ["1/255"], "attack": [{"attack": "fgsm"}]}
    with pytest.raises(ValueError, match="would write one file, worst-a-b-1-255"):
        _preset(series=[series | {"name": "a b"}, series | {"name": "a-b"}])


def test_the_values_of_the_input_are_asked_for(weights: np.ndarray, samples: SampleSet, tmp_path: Path) -> None:
    """A model of [-1, 1] without a quantizer: Keras's own answers on those values, and a word where none is said."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(2)])
    model.set_weights([np.stack([weights, -weights], axis=1).astype(np.float32), np.array([3.0, 0.0], np.float32)])
    model.save(tmp_path / "signed.h5")
    y = np.argmax(model.predict(samples.x / np.float32(127.5) - 1, verbose=0), axis=1).astype(np.int64)
    as_pixels = np.argmax(model.predict(samples.x / np.float32(255), verbose=0), axis=1)
    assert 0 < (as_pixels == y).sum() < COUNT
    save_samples(SampleSet(samples.x, y), tmp_path / "in.npz")
    (tmp_path / "p.toml").write_text(
        'title = "x"\nsamples = 70\n[[series]]\nname = "Linf"\nnorm = "inf"\neps = ["1/255"]\n'
        '[[series.attack]]\nattack = "transfer"\n'
    )
    command = [
        "robustness", tmp_path / "signed.h5", "--preset", tmp_path / "p.toml", "--sample-file", tmp_path / "in.npz",
        "--processes", "1", "--from", tmp_path / "signed.h5", "--out", tmp_path / "out", "--json",
    ]  # fmt: skip
    assumed = invoke(*command)
    assert json_of(assumed)["clean"]["correct"] == (as_pixels == y).sum()
    assert "--input-range or --calibrate say" in assumed.stderr and "--from-input-range says" in assumed.stderr
    stated = invoke(*command, "--input-range", "-1", "1", "--from-input-range", "-1", "1")
    found = json_of(stated)
    assert found["clean"]["correct"] == COUNT and "taken for pixels" not in stated.stderr
    assert found["reading"]["input_range"] == found["reading"]["source_range"] == [-1, 1]
    for options, message in (
        (["--input-range", "1", "-1"], "is not a range"),
        (["--input-range", "-1", "1", "--from-input-range", "2", "1"], "is not a range"),
        (["--threshold", "0.4"], "this model has 2 outputs"),
    ):
        assert message in invoke(*command, *options).stderr


@pytest.mark.parametrize("threshold", [0.7, 0.35])
def test_a_users_threshold_judges_attacked_answers(
    threshold: float, weights: np.ndarray, samples: SampleSet, tmp_path: Path
) -> None:
    """The labels are Keras's answers above the threshold; a threshold of 1/2 would give others."""
    import qkeras
    import tf_keras

    inputs = tf_keras.Input(SHAPE)
    x = tf_keras.layers.Flatten()(qkeras.QActivation("quantized_relu(8,0)")(inputs))
    x = qkeras.QDense(1, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", use_bias=False)(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("sigmoid")(x))
    model.layers[-2].set_weights([-weights[:, None].astype(np.float32) / 2])
    model.save(tmp_path / "unit.h5")
    values = model.predict(samples.x / np.float32(255), verbose=0)[:, 0]
    y = (values > threshold).astype(np.int64)
    assert (y != (values > 0.5)).any() and 0 < y.sum() < COUNT
    save_samples(SampleSet(samples.x, y), tmp_path / "in.npz")
    attack = [
        "attack", "--model", tmp_path / "unit.h5", "--samples", tmp_path / "in.npz", "--attack", "pgd", "--eps",
        "2/255", "-o", tmp_path / "pgd.npz", "--json",
    ]  # fmt: skip
    correct = json_of(invoke(*attack, "--threshold", str(threshold)))["files"][0]["correct"]
    moved = load_samples(tmp_path / "pgd.npz").x / np.float32(255)
    left = int(((model.predict(moved, verbose=0)[:, 0] > threshold) == y).sum())
    assert correct["clean"] == COUNT > left == correct["attacked"] == correct["integer"]
    job = attacked_job(tmp_path / "unit.h5", _preset(), SampleSet(samples.x, y), 0, tmp_path, threshold=threshold)
    found = summarize(_preset(), run(job))
    assert found.clean.correct == found.integer_clean.correct == COUNT
    for row in found.series[0].rows:
        assert row.integer.correct == row.worst.correct < COUNT and row.unconfirmed == 0
    assert "no output lies on both sides" in invoke(*attack, "--threshold", "1.5", "--force").stderr
