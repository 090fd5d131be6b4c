"""A network's metadata: typed within the program, and as a file states them at its edge."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType, load_network
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.metadata import DroppedLayer, InputLevels, Metadata, PostTrainingFacts, SourceFile
from stq_deploy.network.output import LastStep, OutputFormat, Task
from stq_deploy.network.source_layer import InspectedLayer
from stq_deploy.zoo.shipped import CONVERTED, resolve_model

LOGITS = TensorType((3,), "int32", -9, 9, 0.5)
EVERYTHING = Metadata(
    name="",
    source=SourceFile("m.keras", "ab", "keras", "Keras", "3.5"),
    converter="0.1.0",
    classes=3,
    layers=(InspectedLayer("fc", "QDense", ((4,),), (3,), {"kernel": "binary"}, 12, 12, (1,), 2, undecided=1),),
    dropped=(DroppedLayer("softmax", "keeps the order"),),
    last_steps=(LastStep.SOFTMAX, LastStep.LINEAR),
    output_functions=(("softmax",), ()),
    certificates={"fc": Certificate("keep", True, channels=3)},
    keras_outputs={"fc": "fc"},
    input=InputLevels("user", -1.0, 1.5, 0.01, 0.005, 0.002),
    post_training=PostTrainingFacts("int8", "mse", 16, "cd"),
    class_names=("a", "b", "c"),
    kept_units={"fc": (0, 2)},
    task=Task.CLASSES,
    threshold=0.25,
    unread={"note": [1, {"x": None}]},
)


@pytest.mark.parametrize("metadata", [EVERYTHING, Metadata(), Metadata(dropped=(), certificates={}, threshold=1)])
def test_they_come_back_from_json(metadata: Metadata) -> None:
    stated = json.loads(json.dumps(metadata.to_json()))
    assert Metadata.from_json(stated) == metadata
    assert hash(Metadata.from_json(stated)) == hash(metadata)


@pytest.mark.parametrize("model", CONVERTED)
def test_what_a_shipped_file_states_is_read_and_written_unchanged(model: str) -> None:
    """One of the two is of a version that stated less: its entries must not be filled in."""
    path = resolve_model(model)
    with zipfile.ZipFile(path) as archive:
        stated = json.loads(archive.read("network.json"))["metadata"]
    metadata = load_network(path).metadata
    assert metadata.to_json() == stated
    assert metadata.unread == {}
    assert metadata.layers is not None and len(metadata.layers) == len(stated["layers"])


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("name", 3), ("source", []), ("source", {"sha256": "ab"}), ("classes", -1), ("classes", True), ("layers", 3),
        ("layers", [{"name": "dw"}]), ("dropped", {}), ("dropped", [{"layer": "a"}]), ("keras_outputs", {"a": 1}),
        ("input", {"low": 1}), ("input", {"from": "user", "low": "1"}), ("post_training", {"scheme": "int8"}),
        ("class_names", "abc"), ("class_names", ["a", 1]), ("kept_units", {"a": [-1]}), ("from a later version", {}),
        ("unread", {"a": 1}),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_read_stays_as_it_is_and_is_not_used(name: str, entry: Any) -> None:
    metadata = Metadata.from_json({name: entry, "converter": "0.1.0"})
    assert metadata == Metadata(converter="0.1.0", unread={name: entry})
    assert metadata.to_json() == {name: entry, "converter": "0.1.0"}
    assert metadata.output_format(LOGITS, 1) == OutputFormat((3,), LastStep.LINEAR)


@pytest.mark.parametrize(
    "entries",
    [
        {"output_functions": 3}, {"output_functions": [["tan"]]}, {"output_functions": []}, {"output_functions": [3]},
        {"output_functions": [[], []]}, {"last_steps": ["soft"]}, {"last_steps": []}, {"task": "guess"}, {"task": 1},
        {"threshold": "1"}, {"threshold": True}, {"threshold": float("nan")},
    ],
)  # fmt: skip
def test_what_decides_how_the_output_is_read_is_never_guessed(entries: dict[str, Any]) -> None:
    with pytest.raises(StqError, match="about its outputs are invalid") as caught:
        Metadata.from_json(entries).output_format(LOGITS, 1)
    assert caught.value.next


def test_an_older_file_states_less_about_its_output() -> None:
    older = Metadata.from_json({"output_functions": [["softmax"]], "task": None, "threshold": None})
    assert older.output_format(LOGITS, 1) == OutputFormat((3,), LastStep.SOFTMAX, ("softmax",))


def test_metadata_are_an_object() -> None:
    with pytest.raises(ValueError, match="metadata is"):
        Metadata.from_json([])
