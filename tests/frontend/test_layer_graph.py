"""Graphs that are no graphs, and graphs we do not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_files import ModelDraft, tiny_model

from stq_deploy.errors import StqError
from stq_deploy.frontend import parse_model
from stq_deploy.frontend.layer_graph import read_layer_graph


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
    draft.output = "ghost"
    assert "its output is layer 'ghost'" in error_of(draft.config())


@pytest.mark.parametrize(
    "nodes",
    [None, 7, [[]], [[[]]], [[["bn"]]], [[[7, 0, 0, {}]]], [[["bn", 0, 0, {}, 1]]], [7]],
)
def test_malformed_inbound_nodes(nodes: object) -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = nodes
    assert "does not say what it reads" in error_of(draft.config())


@pytest.mark.parametrize(
    ("nodes", "what"),
    [
        ([], "applied 0 times"),
        ([[["bn", 0, 0, {}]], [["bn", 0, 0, {}]]], "applied 2 times"),
        ([[["bn", 0, 0, {"training": True}]]], "called with arguments"),
        ([[["bn", 1, 0, {}]]], "special output"),
        ([{"args": []}], "Keras 3"),
    ],
)
def test_unsupported_calls(nodes: object, what: str) -> None:
    draft = tiny_model()
    draft.entry("relu")["inbound_nodes"] = nodes
    assert what in error_of(draft.config())


def test_repeated_name_nested_model_many_outputs_and_layers() -> None:
    draft = tiny_model()
    draft.entry("relu")["config"]["name"] = "bn"
    assert "two layers are named 'bn'" in error_of(draft.config())
    draft = tiny_model()
    draft.entry("relu")["class_name"] = "Functional"
    assert "nested" in error_of(draft.config())
    config = tiny_model().config()
    config["config"]["output_layers"] *= 2
    assert "2 outputs" in error_of(config)
    config["config"]["output_layers"] = "softmax"
    assert "what its outputs are" in error_of(config)
    config = tiny_model().config()
    config["config"]["layers"] *= 200
    assert "1 to 1000 are possible" in error_of(config)


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
