"""`stq-deploy inspect`: both forms, and models that cannot be converted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.frontend import list_layers
from stq_deploy.network import save_network
from tests.helpers.model_files import tiny_model
from tests.helpers.networks import random_network


def test_model_file(tmp_path: Path) -> None:
    model = str(tiny_model().save_keras(tmp_path / "model.keras"))
    shown = CliRunner().invoke(cli, ["inspect", model])
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[-1] == "can be converted: 9 of 9 layers are supported"
    assert "ternary(alpha='auto_po2')" in shown.stdout
    answer = json.loads(CliRunner().invoke(cli, ["inspect", model, "--json"]).stdout)
    assert answer["form"] == "keras"
    assert sum(layer["parameters"] for layer in answer["layers"]) == 72 + 16 + 72 + 3
    assert answer["parameters"] == 72 + 16 + 72 + 3
    assert answer["macs"] == 6 * 5 * 72 + 72
    assert answer["convertible_layers"] == 9
    assert answer["convertible"] is True
    found = {layer["name"]: (layer["weight_bits"], layer["weight_bytes"]) for layer in answer["layers"]}
    assert found["conv"] == ([2], 72 * 2 // 8)
    assert found["fc"] == ([4], 72 * 4 // 8)
    assert answer["weight_bytes"] == 18 + 36
    pool = next(layer for layer in answer["layers"] if layer["name"] == "pool")
    assert (pool["inputs"], pool["shape"]) == ([[6, 5, 4]], [3, 2, 4])


def test_unsupported_layer_is_listed_with_what_to_do(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("relu")["class_name"] = "Lambda"
    model = str(draft.save_h5(tmp_path / "model.h5"))
    shown = CliRunner().invoke(cli, ["inspect", model])
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    assert lines[-1] == "cannot be converted: 4 of 9 layers are supported"
    assert lines[-2].startswith("relu (Lambda): ")
    assert "never run" in lines[-2]
    answer = json.loads(CliRunner().invoke(cli, ["inspect", model, "--json"]).stdout)
    assert answer["convertible"] is False
    # What the file itself says is shown even of layers that are not reached.
    fc = next(layer for layer in answer["layers"] if layer["name"] == "fc")
    assert (fc["parameters"], fc["shape"]) == (75, None)
    assert fc["quantizers"] == {"kernel": "quantized_bits(4,0,1,alpha='auto_po2')"}
    assert "an earlier layer" in fc["problem"]


def test_layers_with_one_reason_are_named_together(tmp_path: Path) -> None:
    draft = tiny_model()
    for name in ("quantize", "relu"):
        draft.entry(name)["class_name"] = "LSTM"
    shown = CliRunner().invoke(cli, ["inspect", str(draft.save_h5(tmp_path / "model.h5"))])
    assert "quantize and 1 more (LSTM): this layer type is not supported" in shown.stdout


def test_weights_of_powers_of_two_are_counted_at_their_widest(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("conv")["kernel_quantizer"] = "quantized_po2(4)"
    _, _, rows = list_layers(draft.save_h5(tmp_path / "m.h5"))
    assert [(row.weight_bits, row.weight_bytes) for row in rows if row.weight_bits] == [((16,), 144), ((4,), 36)]


def test_network_file(tmp_path: Path) -> None:
    network = random_network(2)
    save_network(network, tmp_path / "net.stq")
    answer = json.loads(CliRunner().invoke(cli, ["inspect", str(tmp_path / "net.stq"), "--json"]).stdout)
    assert answer["model_hash"] == network.sha256()
    assert len(answer["ops"]) == len(network.ops)
    assert sum(op["macs"] for op in answer["ops"]) == sum(macs for _, macs in network.macs())
    shown = CliRunner().invoke(cli, ["inspect", str(tmp_path / "net.stq")])
    assert network.sha256() in shown.stdout


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    draft = tiny_model()
    for layer in draft.layers:
        for call in layer["inbound_nodes"]:
            call[0][0] = call[0][0].replace("relu", "re\x1b[31mlu[bold]")
    draft.entry("relu")["config"]["name"] = "re\x1b[31mlu[bold]"
    shown = CliRunner().invoke(cli, ["inspect", str(draft.save_h5(tmp_path / "m.h5"))])
    assert shown.exit_code == 1
    assert "\x1b" not in shown.stdout
    assert "re?[31mlu[bold]" in shown.stdout
    assert "its name has characters that cannot be printed" in shown.stdout


def test_no_tensorflow_is_imported(tmp_path: Path) -> None:
    model = tiny_model().save_h5(tmp_path / "model.h5")
    code = (
        "import sys; from stq_deploy.frontend import list_layers; from stq_deploy.pipeline import load_any; "
        "list_layers(sys.argv[1]); print('tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "False"
