"""Graphs that are not graphs, and graphs we do not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import list_layers, parse_model
from stq_deploy.frontend.layer_graph import read_layer_graph
from tests.helpers.model_files import ModelDraft, Source, tiny_model


def error_of(config: dict[str, Any]) -> str:
    with pytest.raises(StqError) as caught:
        read_layer_graph(config)
    assert caught.value.next
    return caught.value.what


def test_order_is_topological_even_if_the_files_is_not() -> None:
    draft = tiny_model()
    config = draft.config()
    config["config"]["layers"].reverse()
    names = [layer.name for layer in read_layer_graph(config).layers]
    assert names == [layer["name"] for layer in draft.layers]


def test_cycle() -> None:
    draft = tiny_model()
    draft.entry("conv")["inbound_nodes"] = [[["relu", 0, 0, {}]]]
    assert "its own output" in error_of(draft.config())


def test_dangling_input_and_output() -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = [[["ghost", 0, 0, {}]]]
    assert "reads 'ghost', which does not exist" in error_of(draft.config())
    draft = tiny_model()
    draft.outputs = ["ghost"]
    assert "it returns 'ghost', which does not exist" in error_of(draft.config())
    draft.outputs = [("softmax", 1, 0)]
    assert "it returns call 1 of 'softmax', which does not exist" in error_of(draft.config())
    draft.outputs = [("softmax", 0, 1)]
    assert "returns an output that no layer has" in error_of(draft.config())


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        7,
        [[]],
        [[[]]],
        [[["bn"]]],
        [[[7, 0, 0, {}]]],
        [[["bn", 0, 0, {}, 1]]],
        [7],
        [[["bn", 0, -1, {}]]],
        [[["bn", True, 0, {}]]],
        [[["bn", 0, 0, {}]] * 257],
    ],
)
def test_malformed_inbound_nodes(nodes: object) -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = nodes
    assert "does not say what it reads" in error_of(draft.config())


@pytest.mark.parametrize(("nodes", "what"), [([], "never applied"), ([{"args": []}], "does not say what it reads")])
def test_layers_without_calls_we_know(nodes: object, what: str) -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = nodes
    assert what in error_of(draft.config())


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ([["bn", 0, 0, {"training": True}]], "called with the arguments {'training': True}"),
        (["bn", 0, 0, {"y": 2.0}], "called with the arguments {'y': 2.0}"),
        ([["bn", 0, 1, {}]], "reads output 2 of 'bn'"),
        ([["bn", 0, 0, {}], ["_CONSTANT_VALUE", -1, 2.0, {}]], "one of its inputs is a constant"),
    ],
)
def test_calls_that_cannot_be_converted_are_the_layers_problem(call: object, what: str, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = [call]
    path = draft.save_h5(tmp_path / "m.h5")
    with pytest.raises(StqError) as caught:
        parse_model(path)
    assert what in caught.value.what
    assert "layer 'relu' (QActivation)" in caught.value.where
    _, _, rows = list_layers(path)
    assert [row.name for row in rows if what in row.problem] == ["relu"]


def test_arguments_without_effect_at_inference(tmp_path: Path) -> None:
    for arguments in ({"training": False}, {"training": None}):
        draft = tiny_model()
        draft.entry("bn")["inbound_nodes"][0][0][3] = arguments
        parse_model(draft.save_h5(tmp_path / "m.h5"))


def test_repeated_name_and_number_of_layers() -> None:
    draft = tiny_model()
    draft.entry("relu")["config"]["name"] = "bn"
    assert "two layers are named 'bn'" in error_of(draft.config())
    config = tiny_model().config()
    config["config"]["layers"] *= 200
    assert "1 to 1000 are possible" in error_of(config)
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] *= 1000
    assert "applied more than 1000 times" in error_of(draft.config())


def test_outputs_in_the_models_order(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.outputs = ["softmax", "relu", "fc"]
    assert read_layer_graph(draft.config()).outputs == ("softmax", "relu", "fc")
    parsed = parse_model(draft.save_h5(tmp_path / "m.h5"))
    assert [parsed.nodes[n].layer for n in parsed.outputs] == ["softmax", "relu", "fc"]


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        (["fc", "relu", "fc"], "returns the value of one layer twice"),
        (["fc", "image"], "returns its own input"),
        ([], "what its outputs are"),
    ],
)
def test_outputs_that_are_none(outputs: list[Source], what: str) -> None:
    draft = tiny_model()
    draft.outputs = outputs
    assert what in error_of(draft.config())


def test_inputs_are_the_input_layers() -> None:
    draft = tiny_model().add("InputLayer", "second", batch_input_shape=[None, 3])
    assert "the model has 2 inputs" in error_of(draft.config())
    for inputs in ([["image", 0, 0]], [["image", 0, 0], ["image", 0, 0]], [["image", 0, 0], ["fc", 0, 0]]):
        config = draft.config()
        config["config"]["input_layers"] = inputs
        assert "not its InputLayers" in error_of(config)
    for broken in ("image", [], [["image", 0]], [["image", "0", 0]]):
        config["config"]["input_layers"] = broken
        assert "what its inputs are" in error_of(config)


def test_names_are_text_of_bounded_length_and_shown_harmlessly() -> None:
    for name in ("", "x" * 300, 7, None):
        draft = tiny_model()
        draft.entry("relu")["config"]["name"] = name
        assert "no usable name" in error_of(draft.config())
    draft = ModelDraft().add("InputLayer", "evil\x1b[31m\n*/", batch_input_shape=[None, 4])
    draft.add("Lambda", "next\x07", "evil\x1b[31m\n*/")
    draft.entry("next\x07")["inbound_nodes"] = [[["ghost\x1b", 0, 0, {}]]]
    message = error_of(draft.config())
    assert "\x1b" not in message
    assert "\x07" not in message


def test_sequential_with_and_without_input_layer(tmp_path: Path) -> None:
    draft = tiny_model()
    layers = [{"class_name": layer["class_name"], "config": layer["config"]} for layer in draft.layers]
    with_input = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    shape = layers[0]["config"]["batch_input_shape"]
    first = {"class_name": "QActivation", "config": {**layers[1]["config"], "batch_input_shape": shape}}
    without = {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *layers[2:]]}}
    for config in (with_input, without):
        parsed = parse_model(draft.save_h5(tmp_path / "s.h5", json.dumps(config)))
        assert [node.shape for node in parsed.nodes[-2:]] == [(3,), (3,)]
        assert parsed.outputs == (len(parsed.nodes) - 1,)
    assert "no input shape" in error_of({"class_name": "Sequential", "config": {"layers": layers[1:]}})
