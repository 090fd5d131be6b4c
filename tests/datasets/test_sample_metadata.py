"""What a sample file states is read by type and written back as it stands; a malformed entry stays and is not used."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import (
    NO_NETWORK,
    AttackRecord,
    DefenceRecord,
    FloatModelRecord,
    GradientModel,
    SampleMetadata,
)
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.zoo.shipped import robust_samples, shipped_samples

WHOLE = SampleMetadata(
    dataset="noise",
    class_names=("a", "b"),
    source_indices=(4, 0),
    range=(-8, 8.5),
    attack=AttackRecord("pgd", {"eps": 0.5, "norm": "inf", "max_iter": 3}, "untargeted", "value", {"inf": 0.5}),
    seed=7,
    batch=128,
    defence=DefenceRecord("rnd", 64.0, 2, 5, 9, {"float": {"clean": (2, 1)}}),
    source_model=GradientModel("m", "cd"),
    versions={"numpy": "2"},
    float_model=FloatModelRecord("m", "ef", None, (1, 0), {"clean": 2}, NO_NETWORK),
    live={"queries": 3},
    other={"note": ["x", None]},
)
WRITTEN = (
    '{"attack":{"largest_change":{"inf":0.5},"name":"pgd","settings":{"eps":0.5,"max_iter":3,"norm":"inf"},'
    '"threat_model":"untargeted","unit":"value"},"batch":128,"class_names":["a","b"],"dataset":"noise",'
    '"defence":{"correct":{"float":{"clean":[2,1]}},"eot":2,"fresh_draws":5,"name":"rnd","noise_seed":9,'
    '"sigma_levels":64.0},"float_model":{"correct":{"clean":2},"file_sha256":"ef","model_hash":null,"name":"m",'
    '"predictions":[1,0]},"format":"stq-samples","live":{"queries":3},"note":["x",null],"range":[-8,8.5],"seed":7,'
    '"source_indices":[4,0],"source_model":{"file_sha256":"cd","name":"m"},"version":1,"versions":{"numpy":"2"}}'
)


def _stored(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return np.load(io.BytesIO(archive.read("metadata.npy"))).item().decode()


def test_every_entry_is_written_and_read_back(tmp_path: Path) -> None:
    save_samples(SampleSet(np.zeros((2, 3), np.float32), None, WHOLE), tmp_path / "s.npz")
    assert _stored(tmp_path / "s.npz") == WRITTEN
    assert load_samples(tmp_path / "s.npz").metadata == WHOLE


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", [*shipped_samples().values(), *robust_samples().values()], ids=_short)
def test_a_shipped_file_is_understood_whole(path: Path, tmp_path: Path) -> None:
    samples = load_samples(path)
    assert samples.metadata.other == samples.metadata.attack.other == samples.metadata.float_model.other == {}
    save_samples(samples, tmp_path / "again.npz")
    assert _stored(tmp_path / "again.npz") == _stored(path)


MALFORMED = {
    "dataset": [5, None, ["cifar10"]],
    "class_names": ["abc", [1], [None], {}],
    "attack": ["fgsm", [], None],
    "seed": ["1", 1.0, True, None],
    "batch": [False, [], None],
    "defence": [{}, {"name": "rnd"}, WHOLE.defence.to_json() | {"more": 1}, WHOLE.defence.to_json() | {"eot": -1}],
    "source_model": [{"name": "m"}, {"name": "m", "file_sha256": 1}, {"name": "m", "file_sha256": "", "more": 1}],
    "versions": [3, {"numpy": 2}],
    "float_model": [None],
    "source_indices": [None],
    "live": ["yes", None],
    "other": [{"seed": 3}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_a_malformed_entry_stays_and_is_not_used(name: str, value: object) -> None:
    read = SampleMetadata.from_json({name: value})
    assert read == SampleMetadata(other={name: value})
    samples = SampleSet(np.zeros((2, 3, 3, 1), np.uint8), None, read)
    assert (samples.attack, samples.class_names, samples.correct, dict(samples.largest_change)) == (
        "unknown", None, {}, {},
    )  # fmt: skip
    written = samples.first(1).metadata.to_json()
    assert json.dumps(written) == json.dumps({"format": "stq-samples", "version": 1, name: value})


@pytest.mark.parametrize(
    ("record", "name", "value"),
    [
        ("attack", "name", 3), ("attack", "settings", {"eps": [1]}), ("attack", "settings", {"eps": True}),
        ("attack", "threat_model", None), ("attack", "largest_change", {"inf": "0"}), ("attack", "more", 1),
        ("float_model", "name", 1), ("float_model", "model_hash", None), ("float_model", "predictions", None),
        ("float_model", "correct", [1]), ("float_model", "more", {}),
    ],
)  # fmt: skip
def test_a_malformed_entry_of_a_record_stays_beside_the_others(record: str, name: str, value: object) -> None:
    whole = WHOLE.to_json()[record]
    read = SampleMetadata.from_json({record: whole | {name: value}})
    assert getattr(read, record).other[name] == value
    assert getattr(getattr(read, record), name, None) is None
    assert read.to_json()[record] == whole | {name: value}


def test_counts_alone_are_counts() -> None:
    stated = {"float_model": {"correct": {"clean": 2, "attacked": True, "stored": "1", "integer": None}}}
    read = SampleMetadata.from_json(stated)
    assert SampleSet(np.zeros((2, 3, 3, 1), np.uint8), None, read).correct == {"clean": 2}
    assert read.to_json()["float_model"] == stated["float_model"]


@pytest.mark.parametrize(
    "stated",
    [
        {"range": None}, {"range": [0, 1, 2]}, {"range": [1, 1]}, {"range": [0, "1"]},
        {"float_model": []}, {"float_model": {"model_hash": 1}}, {"float_model": {"predictions": [0]}},
        {"float_model": {"predictions": [0, 2**31]}}, {"source_indices": [0, 1, 2]}, {"source_indices": "01"},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_samples_rest_on_is_refused(stated: dict) -> None:
    with pytest.raises(StqError, match="metadata '"):
        SampleSet(np.zeros((2, 3, 3, 1), np.float32), None, SampleMetadata.from_json(stated))


def test_an_attack_keeps_what_stays_true_of_the_samples() -> None:
    kept = WHOLE.kept_by_attacks()
    assert kept == SampleMetadata("noise", ("a", "b"), (4, 0), (-8, 8.5))
    unread = SampleMetadata.from_json({"dataset": 5, "seed": "x", "live": 1, "note": 2})
    assert unread.states_live and not unread.states_range
    assert unread.kept_by_attacks() == SampleMetadata(other={"dataset": 5})


@pytest.mark.parametrize("document", [[], "x", None, 3])
def test_metadata_are_an_object(document: object) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        SampleMetadata.from_json(document)
