"""`--kernel LAYER=NAME`: the layer runs with that kernel, or the error lists those that can run it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import stq_deploy as stq
from stq_deploy.cli._kernels import kernels_command, parse_kernels
from stq_deploy.common.errors import StqError
from stq_deploy.network import save_network
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.choice import candidates
from tests.helpers.command_line import invoke, json_of
from tests.helpers.covering_networks import FAST_SEEDS, LAYERS
from tests.helpers.emulation import needs_emulator
from tests.helpers.networks import random_network

LAYER, USUAL, BYTES, OTHER = "convolve_0", "stq_convolve_b1_s8", "stq_gather8_b1_s8", "stq_gather16_b1_s8"
ABLE = {USUAL, BYTES, OTHER}
VIEW = "reshape_9"
NETWORK = random_network(8)
"""`LAYER` runs with each of `ABLE`, and `USUAL` is the fastest. `VIEW` computes nothing."""


@pytest.fixture(scope="module", name="model")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kernel") / "net.stq"
    save_network(NETWORK, path)
    return path


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], {}),
        (["a=b"], {"a": "b"}),
        (["a=b", "c=b"], {"a": "b", "c": "b"}),
        (["a=b=c"], {"a=b": "c"}),
        (["two words=b"], {"two words": "b"}),
    ],
)
def test_texts_are_layers_with_their_kernels(texts: list[str], found: dict[str, str]) -> None:
    assert parse_kernels(texts) == found


@pytest.mark.parametrize("texts", [["a"], ["="], ["a="], ["=b"], [""], ["a=b", "a=c"]])
def test_other_texts_are_refused(texts: list[str]) -> None:
    with pytest.raises(StqError) as error:
        parse_kernels(texts)
    assert error.value.next


def test_the_command_is_one_that_a_shell_reads() -> None:
    assert kernels_command({"a": "b", "two words": "c"}) == " --kernel a=b --kernel 'two words=c'"
    assert kernels_command({}) == ""


@pytest.mark.parametrize(
    ("asked", "said", "listed"),
    [
        (f"convolve={OTHER}", "no layer is named 'convolve'", {LAYER}),
        (f"{VIEW}={OTHER}", f"no kernel runs '{VIEW}'", {LAYER}),
        (f"{LAYER}=stq_gather16_t2_s16", "stq_gather16_t2_s16 cannot run the layer", ABLE),
        (f"{LAYER}=stq_convolve", "no kernel has this name", ABLE),
        (LAYER, "names no kernel", {"LAYER=NAME"}),
    ],
)
@pytest.mark.parametrize("command", ["build", "profile", "run", "verify"])
def test_what_cannot_be_is_refused(
    model: Path, tmp_path: Path, command: str, asked: str, said: str, listed: set[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((1, *NETWORK.input_type.shape), np.uint8))
    out = () if command == "verify" else ("--out", tmp_path / "out")
    also = ("--samples", tmp_path / "x.npz", "--emulated") if command == "run" else ()
    refused = invoke(command, "--model", model, *out, *also, "--kernel", asked)
    assert (refused.exit_code, refused.stdout) == (1, "")
    text = " ".join(refused.stderr.split())
    assert said in text and all(name in text for name in listed), text
    assert not (tmp_path / "out").exists()


def test_optimize_chooses_for_all_layers(tmp_path: Path) -> None:
    network = random_network(FAST_SEEDS[0], LAYERS)
    save_network(network, tmp_path / "net.stq")
    slow, fast = stq.load(tmp_path / "net.stq"), stq.load(tmp_path / "net.stq", optimize="speed")
    assert slow == fast and slow.program.layers != fast.program.layers
    assert [one.kernel for one in fast.program.layers] == [
        one.kernel for one in plan_network(network, optimize="speed").layers
    ]
    asked = ("--model", tmp_path / "net.stq", "--optimize", "speed")
    assert invoke("build", *asked, "--out", tmp_path / "build").exit_code == 0
    manifest = json.loads((tmp_path / "build" / "network" / "manifest.json").read_text())
    assert [layer["kernel"] for layer in manifest["layers"]] == [one.kernel for one in fast.program.layers]
    assert manifest["command"].endswith(" --optimize speed")
    with pytest.raises(StqError, match="not chosen for 'fast'"):
        stq.load(tmp_path / "net.stq", optimize="fast")  # type: ignore[arg-type]


@needs_emulator
def test_a_layer_runs_with_the_kernel_that_is_asked_for(model: Path, tmp_path: Path) -> None:
    asked, out = ("--kernel", f"{LAYER}={OTHER}"), tmp_path / "build"
    assert invoke("build", "--model", model, "--out", out, *asked).exit_code == 0
    manifest = json.loads((out / "network" / "manifest.json").read_text())
    assert {layer["name"]: layer["kernel"] for layer in manifest["layers"]}[LAYER] == OTHER
    assert f"--kernel {LAYER}={OTHER}" in manifest["command"]
    assert f"STQ_DEFINE_GATHER({OTHER}, 1, 2, int8_t, STQ_S8)" in (out / "kernels" / "instances.c").read_text()

    found = json_of(invoke("profile", "--model", model, "--out", out, *asked, "--json"))
    assert Path(found["build"]) == out
    (layer,) = (one for one in found["layers"] if one["layer"] == LAYER)
    assert (layer["kernel"], layer["kernel_reason"]) == (
        OTHER,
        f"asked for instead of {USUAL}, or its code is shared",
    )
    work = next(one.work for one in stq.load(model).program.layers if one.name == LAYER)
    assert {one["kernel"]: one["estimated_instructions"] for one in layer["alternatives"]} == {
        one.kernel.function: one.spec.instructions(work) for one in candidates(work) if one.kernel.function != OTHER
    }
    others = [one["kernel_reason"] for one in found["layers"] if one["layer"] != LAYER]
    assert not any("asked" in reason for reason in others)

    refused = invoke("profile", "--model", model, "--out", out)
    assert refused.exit_code == 1 and "with other kernels" in " ".join(refused.stderr.split())


def test_every_kernel_computes_the_same(model: Path) -> None:
    for kernel in sorted(ABLE):
        executors = ("--executors", "numpy,host,host-cortex-m7")
        found = invoke("verify", "--model", model, *executors, "--limit", "2", "--kernel", f"{LAYER}={kernel}")
        assert found.exit_code == 0, found.output


def test_python_takes_kernels_too(model: Path) -> None:
    usual, other = stq.load(model), stq.load(model, kernels={LAYER: OTHER})
    assert [one.kernel for one in usual.program.layers if one.name == LAYER] == [USUAL]
    assert [one.kernel for one in other.program.layers if one.name == LAYER] == [OTHER]
    assert usual == other and usual.model_hash == other.model_hash
    with pytest.raises(StqError, match="cannot run the layer"):
        stq.load(model, kernels={LAYER: "stq_gather16_t2_s16"})
