"""The shipped models: their files belong together, and commands know them by name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import load_network, save_network
from stq_deploy.pipeline import convert_model
from stq_deploy.zoo.card import model_card, plain_table
from stq_deploy.zoo.run_record import WorstCaseRecord
from stq_deploy.zoo.schemes import get_scheme
from stq_deploy.zoo.shipped import CONVERTED, DEFAULT_MODEL, PREFIX, ShippedModel, resolve_model, shipped_models
from tests.helpers.command_line import invoke, json_of

MOST_BYTES = 8_000_000
"""All model files together: they are part of the package."""


def _quantized(model: ShippedModel) -> bool:
    return get_scheme(model.record.config.scheme).quantized


models = pytest.mark.parametrize("model", shipped_models().values(), ids=lambda model: model.name)
quantized_models = pytest.mark.parametrize(
    "model", list(filter(_quantized, shipped_models().values())), ids=lambda model: model.name
)


@models
def test_the_record_is_of_this_file(model: ShippedModel) -> None:
    content = model.keras.read_bytes()
    assert model.record.model.file == model.keras.name
    assert model.record.model.bytes == len(content)
    assert model.record.model.sha256 == hashlib.sha256(content).hexdigest()
    assert model.record.model.test_right / model.record.model.test_samples == model.record.model.test_accuracy


@models
def test_its_network_comes_along_where_the_demo_runs_it(model: ShippedModel) -> None:
    name = PREFIX + model.name
    assert resolve_model(name, keras=True) == model.keras
    assert model.network.is_file() == (name in CONVERTED)
    assert resolve_model(name) == (model.network if name in CONVERTED else model.keras)


@quantized_models
def test_its_keras_model_converts_to_the_same(model: ShippedModel, tmp_path: Path) -> None:
    """Floating-point models are quantized by samples: `tools/reproduce table3` runs those."""
    network = convert_model(model.keras)
    assert network.sha256() == model.record.network_sha256
    assert network.tensors[network.outputs[0]].shape == (len(model.record.classes),)
    assert list(model.record.weight_bits or ()) == network.weight_bits
    if model.network.is_file():
        assert network.sha256() == load_network(model.network).sha256()
    save_network(network, tmp_path / "network.stq")
    assert differing_layers(str(tmp_path / "network.stq")) == 0


def differing_layers(model: str) -> int:
    """Layers in which NumPy and host C differ."""
    found = json_of(invoke("verify", "--model", model, "--executors", "numpy,host-cortex-m7", "--json"))
    return int(found["differing_layers"])


@models
def test_the_card_is_what_the_record_says(model: ShippedModel) -> None:
    assert model.card.read_text() == model_card(model)
    shown = invoke("zoo", model.name)
    assert shown.exit_code == 0
    assert shown.stdout == model_card(model)


def test_a_card_says_what_stands_under_attack_and_which_target_is_missed() -> None:
    model = shipped_models()["stq-cifar10"]
    found = WorstCaseRecord("quick", 200, 160, {"1/255": 100, "8/255": 30}, {"clean": 72.0, "8/255": 34.0})
    lines = model_card(ShippedModel(model.name, replace(model.record, robustness=found))).splitlines()
    counts = "clean: 80.0 % (74 .. 85), 1/255: 50.0 % (43 .. 57), 8/255: 15.0 % (11 .. 21)"
    assert f"| worst case, Linf, preset quick, 200 samples | {counts} |" in lines
    assert "| target, clean | at least 72 %: met, 85.7 % |" in lines
    assert "| target, 8/255 | at least 34 %: missed, 15.0 % |" in lines


def test_all_files_stay_small() -> None:
    files = [path for model in shipped_models().values() for path in (model.keras, model.network) if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_the_list_names_them_all() -> None:
    shown = invoke("zoo").stdout
    for name, model in shipped_models().items():
        assert PREFIX + name in shown
        assert f"{100 * model.record.model.test_accuracy:.2f} %" in shown
    assert json_of(invoke("zoo", "--json"))["models"].keys() == shipped_models().keys()
    assert DEFAULT_MODEL.removeprefix(PREFIX) in shipped_models()


@pytest.mark.parametrize("name", ["nothing", "../shipped", "", "stq-cifar10.h5"])
def test_an_unknown_name_is_one_clear_error(name: str) -> None:
    with pytest.raises(StqError, match="comes with stq-deploy") as caught:
        resolve_model(PREFIX + name)
    assert "zoo:stq-cifar10" in caught.value.next
    assert invoke("zoo", PREFIX + name).exit_code == 1


def test_the_page_lists_them() -> None:
    """`tools/write_zoo_table` writes it."""
    page = (Path(__file__).parents[2] / "docs" / "ZOO.md").read_text(encoding="utf-8")
    assert f"```\n{plain_table(shipped_models().values())}```\n" in page
