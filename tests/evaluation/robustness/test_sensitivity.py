"""Adversarial noise sensitivity: figures of a network whose every activation is known, and bits that train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation.robustness.sensitivity import (
    SensitivePlace,
    Sensitivity,
    bits_by_layer,
    places,
    scheme_text,
    sensitivities,
)
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras


def _model() -> Any:
    """Logits (s, -s), s = 2 * sum of x - 3: a gray picture's sum decides."""
    import tf_keras
    from tf_keras import layers

    x = inputs = layers.Input((2, 2, 1))
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(1, name="sum")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.Dense(2, name="logits")(x)
    model = tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x))
    model.get_layer("sum").set_weights([np.ones((4, 1), np.float32), np.zeros(1, np.float32)])
    model.get_layer("logits").set_weights([np.float32([[2, -2]]), np.float32([-3, 3])])
    return model


def test_kernels_are_measured_at_their_activation() -> None:
    assert places(_model()) == [
        SensitivePlace("sum", True, "relu"),
        SensitivePlace("relu", False, "relu"),
        SensitivePlace("logits", True, "logits"),
    ]


def test_places_of_the_papers_network() -> None:
    from stq_deploy.zoo.networks import build_network

    for scheme in ("fp", "stq"):
        found = {one.layer: one.measured_at for one in places(build_network(scheme=scheme, input_shape=(16, 16, 1)))}
        assert "quantize_input" not in found and "softmax" not in found
        for layer, at in {
            "conv1": "relu1",
            "dw1": "gate1",
            "sep1": "relu_sep1",
            "fc1": "relu_fc1",
            "act1": "act1",
        }.items():
            assert found[layer] == at
        assert found["fc3"] == "fc3"


def test_the_command_measures_what_one_step_changes(tmp_path: Path) -> None:
    """Four pixels of 100 have the sum 400/255 > 3/2: class 0. A step of 10 takes them to 360/255, a tenth less."""
    _model().save(tmp_path / "m.h5")
    x = np.full((3, 2, 2, 1), 100, np.uint8)
    save_samples(SampleSet(x, np.zeros(3, np.int64)), tmp_path / "in.npz")
    out, scheme = tmp_path / "out.json", tmp_path / "bits.toml"
    done = invoke(
        "robustness", "sensitivity", tmp_path / "m.h5", "--sample-file", tmp_path / "in.npz", "--eps", "10/255",
        "-o", out, "--scheme-out", scheme, "--json",
    )  # fmt: skip
    found = json_of(done)
    assert found == json.loads(out.read_text())
    layers = {one["layer"]: one for one in found["layers"]}
    assert layers["sum"]["ans"] == layers["relu"]["ans"] == pytest.approx(0.1, rel=1e-5)
    assert layers["sum"]["change"] == pytest.approx(40 / 255, rel=1e-5)
    logit, moved = 2 * 400 / 255 - 3, 2 * 40 / 255
    assert layers["logits"]["ans"] == pytest.approx(moved / logit, rel=1e-4)
    assert found["samples"] == 3 and "clip(round" in found["bits"]
    from stq_deploy.zoo.scheme_file import load_scheme

    assert load_scheme(str(scheme))[1] is not None
    again = invoke("robustness-sensitivity", tmp_path / "m.h5", "--sample-file", tmp_path / "in.npz")
    assert again.exit_code == 0 and "relu" in again.output
    none = invoke("robustness-sensitivity", tmp_path / "m.h5", "--sample-file", tmp_path / "in.npz", "--eps", "1/300")
    assert none.exit_code == 1 and "less than one level" in none.stderr


def test_samples_that_all_move_one_way_and_dead_activations() -> None:
    found = [
        SensitivePlace("a", True, "a"),
        SensitivePlace("dead", False, "dead"),
        SensitivePlace("woken", False, "woken"),
    ]
    clean = [np.float32([[3, 4], [0, 1]]), np.zeros((2, 2), np.float32), np.float32([[0, 0], [2, 0]])]
    after = [np.float32([[3, 4], [0, 2]]), np.zeros((2, 2), np.float32), np.float32([[1, 0], [3, 0]])]
    a, dead, woken = sensitivities(found, clean, after)
    assert (a.ans, a.change) == (0.5, 0.5)
    assert (dead.ans, dead.change) == (0, 0)
    assert (woken.ans, woken.change) == (0.5, 1.0)  # the first sample has no relative change


def _layer(name: str, ans: float, kernel: bool = True) -> Sensitivity:
    return Sensitivity(name, kernel, name, ans, 0.0)


@pytest.mark.parametrize(
    ("ans", "bits"),
    [(1.0, 2), (0.9, 2), (0.82, 2), (0.76, 4), (0.7, 4), (0.6, 4), (0.55, 8), (0.5, 8), (0.3, 8), (0.0, 8)],
)
def test_bits_fall_as_sensitivity_rises(ans: float, bits: int) -> None:
    found = bits_by_layer([_layer("first", 0.2), _layer("mid", ans), _layer("top", 1.0, False), _layer("last", 0.9)])
    assert [one.bits for one in found] == [None, bits, 2, None]


def test_what_is_proposed_can_be_read_back(tmp_path: Path) -> None:
    from stq_deploy.zoo.scheme_file import load_scheme

    found = bits_by_layer(
        [_layer("first", 0.2), _layer('odd "name"', 1.0), _layer("relu", 0.5, False), _layer("last", 1)]
    )
    path = tmp_path / "s.toml"
    path.write_text(scheme_text(found, "8bit", 'from "x"'))
    layers = load_scheme(str(path))[1]
    assert layers is not None
    assert (layers.weights, layers.activations, layers.title) == ({'odd "name"': 2}, {"relu": 8}, 'from "x"')


def test_a_model_without_kernels() -> None:
    import tf_keras

    assert places(tf_keras.Sequential([tf_keras.layers.Flatten(input_shape=(2, 2, 1))])) == []
    assert bits_by_layer([]) == []
