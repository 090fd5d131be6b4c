"""What .tflite files may not hold: each refusal names operator, setting, reason and the nearest way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.formats.interface import FileFacts
from stq_deploy.frontend.formats.tflite.extract import extract
from stq_deploy.frontend.formats.tflite.format import TfliteModel
from stq_deploy.frontend.formats.tflite.operators import HANDLERS
from stq_deploy.sandbox import Contents
from tests.helpers.frontend.tflite_cases import cases

Description = dict[str, Any]


def described(case: str) -> tuple[Description, Contents]:
    """A case's description, to be changed, and its contents."""
    found = extract(cases()[case][0])
    arrays: dict[str, Any] = {}
    data = b"".join(found.data)
    for name, entry in found.header["arrays"].items():
        arrays[name] = np.frombuffer(data, np.uint8, entry["shape"][0], entry["at"])
    return json.loads(found.header["config"]), Contents("", {}, {}, arrays)


def opened(description: Description, contents: Contents) -> TfliteModel:
    facts = FileFacts("m.tflite", "0" * 64, "tflite", "TensorFlow Lite")
    return TfliteModel(Contents(json.dumps(description), {}, {}, contents.arrays), facts)


def operator(description: Description) -> Description:
    (first, *_) = description["operators"]
    assert isinstance(first, dict)
    return first


def tensor(description: Description, i: int) -> Description:
    """Input i of the first operator."""
    found = description["tensors"][operator(description)["inputs"][i]]
    assert isinstance(found, dict)
    return found


def output(description: Description) -> Description:
    found = description["tensors"][operator(description)["outputs"][0]]
    assert isinstance(found, dict)
    return found


def put(place: Callable[[Description], Description], key: str, value: Any) -> Callable[[Description], None]:
    def change(description: Description) -> None:
        place(description)[key] = value

    return change


def option(key: str, value: float) -> Callable[[Description], None]:
    def change(description: Description) -> None:
        operator(description)["options"][key] = value

    return change


def weights(description: Description) -> Description:
    return tensor(description, 1)


def source(description: Description) -> Description:
    return tensor(description, 0)


REFUSED: dict[str, tuple[str, Callable[[Description], None], str]] = {
    "an operator": ("conv", put(operator, "name", "RESIZE_BILINEAR"), "operator 0 (RESIZE_BILINEAR)"),
    "a custom one": ("conv", lambda d: operator(d).update(code=32, name="Mine"), "custom operator 'Mine'"),
    "a type": ("conv", put(source, "type", "int16"), "the input is of the type int16"),
    "a type inside": ("conv", put(output, "type", "int16"), "is of the type int16"),
    "samples at once": ("conv", put(source, "shape", [2, 5, 6, 4]), "2 samples at once"),
    "an activation": ("conv", option("activation", 4), "fused activation TANH is not supported"),
    "no such activation": ("conv", option("activation", 77), "fused activation an unknown one"),
    "a padding": ("conv", option("padding", 9), "unknown padding"),
    "a stride of 0": ("conv", option("stride_w", 0), "stride"),
    "a huge window": ("average", option("filter_h", 2**31 - 1), "window"),
    "another output": ("conv", option("padding", 1), "gives (2, 3), not"),
    "asymmetric weights": ("conv", lambda d: weights(d).update(zero_point=[3] * 6), "weights have the zero point 3"),
    "scales of other channels": ("conv", lambda d: weights(d).update(scale=[0.1] * 5), "5 usable scales for 6"),
    "a scale of 0": ("conv", put(output, "scale", [0.0]), "scales"),
    "no scale": ("conv", put(output, "scale", []), "0 scales"),
    "a tiny scale": ("conv", put(output, "scale", [1e-44]), "scales"),
    "a zero point outside": ("conv", put(output, "zero_point", [300]), "zero point 300"),
    "weights that are not stored": ("conv", put(weights, "buffer", 0), "computed by the graph, not stored"),
    "sparse weights": ("conv", put(weights, "sparse", True), "sparse"),
    "weights of another size": ("conv", put(weights, "shape", [6, 3, 2, 3]), "bytes, its shape asks for"),
    "shuffled weights": ("dense", option("weights_format", 1), "shuffled"),
    "another grid": ("maximum", put(output, "scale", [0.5]), "its levels are not its input's"),
    "a state": ("conv", put(source, "variable", True), "keeps its value"),
    "channels": ("mean", put(source, "shape", [1, 5, 21, 1]), "makes [3] of [1, 1, 1]"),
    "a slope": ("leaky", option("alpha", -1.0), "slope is -1"),
    "two inputs": ("add", lambda d: d.update(inputs=[0, 1]), "2 inputs"),
    "no output": ("conv", lambda d: d.update(outputs=[]), "0 outputs"),
    "an output of nobody": ("conv", lambda d: d["operators"].clear(), "no operator computes the output"),
    "a loop": ("conv", lambda d: operator(d)["inputs"].__setitem__(0, operator(d)["outputs"][0]), "no operator before"),
    "a tensor that is not there": ("conv", lambda d: operator(d).update(outputs=[99]), "refers to tensors [99]"),
    "a text for a number": ("conv", option("stride_w", "x"), "cannot be read"),
    "not a number": ("leaky", option("alpha", float("nan")), "not a finite number"),
    "a shape below 0": ("conv", put(source, "shape", [1, -1, 6, 4]), "has the shape"),
    "another version": ("conv", lambda d: d.update(version=4), "version 4"),
    "unsigned scale": ("unsigned", put(source, "scale", [0.5]), "changes the scale"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused(what: str) -> None:
    case, change, said = REFUSED[what]
    description, contents = described(case)
    opened(description, contents).parse(post_training=False)  # what is changed below is all that is wrong
    change(description)
    with pytest.raises(StqError) as refused:
        opened(description, contents).parse(post_training=True)
    assert said in str(refused.value)
    assert refused.value.next


def test_the_rest_is_listed_after_an_unknown_operator() -> None:
    description, contents = described("moves")
    operator(description)["name"] = "TRANSPOSE"
    rows = opened(description, contents).list_layers().rows
    assert [row.type for row in rows] == ["input", "TRANSPOSE", "CONCATENATION", "RESHAPE"]
    assert "TRANSPOSE is not supported; keep the order NHWC" in rows[1].problem
    assert all("not checked" in row.problem for row in rows[2:])


def test_handlers_make_the_steps_that_the_support_page_states() -> None:
    """The other way round needs a file for each step."""
    for case in cases():
        description, contents = described(case)
        parsed = opened(description, contents).parse(post_training=False)
        made: dict[str, set[str]] = {}
        for node in parsed.nodes:
            kind = node.layer.rpartition("_")[0].upper()
            made.setdefault(kind, set()).add(type(node).__name__.removesuffix("Node"))
        for kind, steps in made.items():
            if kind in HANDLERS:
                assert steps - {"Reshape"} <= {*(HANDLERS[kind].integers or ())}, (case, kind)
