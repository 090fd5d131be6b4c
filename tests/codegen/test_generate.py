"""Generated files: reproducible, readable, and C whatever the model's author wrote into names."""

from __future__ import annotations

import ctypes
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.codegen import generate
from stq_deploy.codegen.generate import TEMPLATES
from stq_deploy.codegen.manifest import describe_program
from stq_deploy.codegen.names import DEFAULT_NAME
from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import Convolve, Dense, MaxPool, Op, PairTable, Reshape, Table, Window
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize, ThresholdRequantize
from stq_deploy.program import plan_network
from stq_deploy.toolchain.host_compiler import find_host_compiler
from stq_deploy.toolchain.host_library import build_host_library
from tests.helpers.branched_networks import branched_network
from tests.helpers.networks import random_levels, random_network

GOLDEN = Path(__file__).parent / "golden"
FILES = (*(file.format(p=DEFAULT_NAME) for file in TEMPLATES), "manifest.json")


def golden_network() -> Network:
    """One layer of each look: a convolution, a table in place, a pool, a gate, a view and the logits."""
    rng = np.random.default_rng(7)
    window = Window((3, 3), (2, 2), (1, 1), (0, 1), (1, 1))
    features = TensorType((3, 3, 4), "int8", 0, 3, 0.25)
    thresholds = np.array([[-300, 10, 200], [-5, 0, 5], [1, 2, 2**31 - 1], [-90, -80, 70]], np.int32)
    sign = np.array([1, 1, -1, 1], np.int8)
    tensors = {
        "input_1": TensorType((6, 5, 3), "int8", -128, 127, 1 / 256, -128),
        "conv2d": features,
        "gate": features,
        "gated": features,
        "max_pooling2d": TensorType((2, 2, 4), "int8", 0, 3, 0.25),
        "flatten": TensorType((16,), "int8", 0, 3, 0.25),
        "hidden": TensorType((5,), "int16", -500, 500, 0.01),
        "logits": TensorType((3,), "int32", -20_000, 20_000, 2**-10),
    }
    multiplier = MultiplierRequantize(
        np.array([2**29, -(2**31), 2**30, 2**28, 7], np.int32),
        np.arange(-2, 3, dtype=np.int32),
        4,
        1,
        -500,
        500,
    )
    pairs = np.repeat(np.arange(4, dtype=np.int8), 4).reshape(4, 4)
    ops: tuple[Op, ...] = (
        Convolve(
            "conv2d", ("input_1",), "conv2d", ("conv2d", "batch_normalization", "activation"),
            rng.integers(-1, 2, (3, 3, 3, 4)).astype(np.int8), 2, ThresholdRequantize(thresholds, sign, 0),
            window,
        ),
        Table("sigmoid", ("conv2d",), "gate", ("sigmoid",), np.repeat(np.arange(4, dtype=np.int8), 64)),
        PairTable("multiply", ("gate", "gate"), "gated", ("multiply",), pairs),
        MaxPool("max_pooling2d", ("gated",), "max_pooling2d", ("max_pooling2d",), Window((2, 2), (1, 1))),
        Reshape("flatten", ("max_pooling2d",), "flatten", ("flatten",)),
        Dense(
            "dense", ("flatten",), "hidden", ("dense",),
            rng.integers(-8, 8, (16, 5)).astype(np.int8), 4, multiplier,
        ),
        Dense(
            "dense_1", ("hidden",), "logits", ("dense_1",),
            rng.integers(-2, 2, (5, 3)).astype(np.int8), 2, KeepAccumulator(3, -20_000, 20_000),
        ),
    )  # fmt: skip
    return Network(tensors, ops, "input_1", ("logits",), Metadata("golden"))


@pytest.mark.parametrize("name", FILES)
def test_golden_files(tmp_path: Path, name: str) -> None:
    """To accept a change, copy what this test wrote over tests/codegen/golden, and read the difference."""
    generated = generate(
        plan_network(golden_network()), tmp_path, command="stq-deploy build --board x", tool_version="0.0.0"
    )
    assert (generated.folder / name).read_text() == (GOLDEN / name).read_text()


def test_the_golden_network_runs_as_numpy_does(host_cache: Path) -> None:
    network = golden_network()
    levels = random_levels(network, 50)
    with HostExecutor(plan_network(network), workers=1, cache_dir=host_cache) as host:
        assert np.array_equal(host.layer_crcs(levels), NumpyExecutor(plan_network(network)).layer_crcs(levels))


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for folder in ("first", "second"):
        made = generate(plan_network(random_network(3)), tmp_path / folder, command="x", tool_version="1")
        written = [path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()]
        assert sorted(written) == sorted(FILES)
        contents.append({name: (made.folder / name).read_bytes() for name in FILES})
    assert contents[0] == contents[1]


def test_generating_again_replaces(tmp_path: Path) -> None:
    generate(plan_network(random_network(1)), tmp_path, command="x", tool_version="1")
    second = generate(plan_network(random_network(2)), tmp_path, command="x", tool_version="1")
    assert random_network(2).sha256() in (tmp_path / "stq_model_weights.c").read_text()
    assert json.loads(second.manifest.read_text())["model_hash"] == random_network(2).sha256()


def test_an_unwritable_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StqError, match="cannot write"):
        generate(plan_network(random_network(1)), tmp_path / "file" / "out", command="x", tool_version="1")


@pytest.mark.parametrize("seed", range(4))
def test_manifest_agrees_with_the_plan_and_the_sources(tmp_path: Path, seed: int) -> None:
    network = random_network(seed)
    made = generate(plan_network(network), tmp_path, command="stq-deploy build", tool_version="9.9")
    manifest, source = json.loads(made.manifest.read_text()), (tmp_path / "stq_model.h").read_text()
    assert manifest["model_hash"] == network.sha256()
    assert (manifest["tool_version"], manifest["command"]) == ("9.9", "stq-deploy build")
    assert [layer["name"] for layer in manifest["layers"]] == [layer.name for layer in plan_network(network).layers]
    assert sum(layer["macs"] for layer in manifest["layers"]) == manifest["macs"]
    assert sum(layer["weight_bytes"] for layer in manifest["layers"]) == manifest["weight_bytes"]
    assert f"_ARENA_BYTES {manifest['arena_bytes']}\n" in source
    sizes = {"int8_t": 1, "int32_t": 4, "int64_t": 8, "uint32_t": 4}
    arrays = re.findall(r"^const (\w+) \w+\[(\d+)\]", (tmp_path / "stq_model_weights.c").read_text(), re.M)
    emitted = sum(sizes[c_type] * int(count) for c_type, count in arrays)
    assert emitted == manifest["weight_bytes"] + manifest["table_bytes"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_tensors_of_the_manifest_that_live_together_lie_apart(seed: int) -> None:
    """From the manifest alone: two tensors share bytes only as views, or where a layer's output replaces its input."""
    network = random_network(seed) if seed % 2 else branched_network(seed, unit=3, copies=False)
    plan = plan_network(network)
    manifest = describe_program(plan, [[]] * len(plan.layers), command="", tool_version="")
    stored = {name: t for name, t in manifest["tensors"].items() if not t["view_of"]}
    replaced = {
        frozenset((layer["output"], piece))
        for layer in manifest["layers"]
        if layer["replaces"] is not None
        for piece in manifest["tensors"][layer["replaces"]]["view_of"] or [layer["replaces"]]
    }
    for (a, x), (b, y) in itertools.combinations(stored.items(), 2):
        starts, ends = ([x["arena_offset"], y["arena_offset"]], [t["arena_offset"] + t["bytes"] for t in (x, y)])
        alive = [set(range(t["first_layer"], t["last_layer"] + 1)) for t in (x, y)]
        if alive[0] & alive[1] and max(starts) < min(ends):
            assert frozenset((a, b)) in replaced
            assert len(alive[0] & alive[1]) == 1
    for t in manifest["tensors"].values():
        at = t["arena_offset"]
        assert at + t["bytes"] <= manifest["arena_bytes"]
        for piece in t["view_of"]:
            assert stored[piece]["arena_offset"] == at
            assert t["first_layer"] <= stored[piece]["first_layer"] <= stored[piece]["last_layer"] <= t["last_layer"]
            at += stored[piece]["bytes"]
    for layer in manifest["layers"]:
        for name in (*layer["inputs"], layer["output"]):
            assert manifest["tensors"][name]["first_layer"] <= layer["index"] <= manifest["tensors"][name]["last_layer"]


HOSTILE = [
    "*/ int main(void){return 1;} /*",
    "end in a backslash \\",
    "??/\n#error trigraph",
    '"; system("x"); "',
    "int",
    "layer_00",
    "",
    "日本語 ☃ \ud83d\ude00",
    "a\x00b\x01\x7f\r\n",
    "{{ 7 * 7 }} {% raw %} ${x} %s %n",
    "x" * 1000,
    "\ud800",
]


def renamed(network: Network, names: list[str]) -> Network:
    """The same network with other names of ops, tensors and sources."""

    def unique(i: int) -> str:
        return f"{names[i % len(names)]}{'' if i < len(names) else i}"

    chosen = {name: f"{names[i % len(names)]}{'' if i < len(names) else i}" for i, name in enumerate(network.tensors)}
    ops = tuple(
        replace(
            op,
            name=unique(i),
            inputs=tuple(chosen[name] for name in op.inputs),
            output=chosen[op.output],
            sources=(names[i % len(names)], names[-i % len(names)]),
        )
        for i, op in enumerate(network.ops)
    )
    tensors = {chosen[name]: tensor for name, tensor in network.tensors.items()}
    outputs = tuple(chosen[name] for name in network.outputs)
    return Network(tensors, ops, chosen[network.input], outputs, Metadata(names[0]))


@pytest.mark.parametrize("options", [["-std=c99", "-trigraphs"], ["-std=c11"], ["-std=gnu17"]])
def test_hostile_names_compile_without_a_warning(tmp_path: Path, options: list[str]) -> None:
    network = renamed(random_network(5, layers=14), HOSTILE)
    made = generate(plan_network(network), tmp_path, command="*/ ??/\n \\", tool_version="??/")
    include = firmware_templates() / "kernels" / "include"
    for source in made.sources:
        subprocess.run(
            [*find_host_compiler().command, *options, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow",
             "-Werror", *(f"-I{folder}" for folder in (*made.include_folders, include)), "-fsyntax-only", source],
            check=True, timeout=60,
        )  # fmt: skip


class LayerInfo(ctypes.Structure):
    """`stq_layer_info` of served/network.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("op", ctypes.c_char_p),
        ("output", ctypes.c_void_p),
        ("output_bytes", ctypes.c_uint32),
        ("macs", ctypes.c_uint32),
    )


def test_hostile_names_come_back_and_change_no_result(host_cache: Path, tmp_path: Path) -> None:
    plain = random_network(5, layers=14)
    network = renamed(plain, HOSTILE)
    path = build_host_library(plan_network(network), cache_dir=host_cache)
    library = ctypes.CDLL(str(shutil.copy(path, tmp_path)))
    ops = [layer.op for layer in plan_network(network).layers]
    for info, op in zip((LayerInfo * len(ops)).in_dll(library, "stq_network_layers"), ops, strict=True):
        whole = op.name.encode("utf-8", "replace").split(b"\0")[0]  # a C string ends at a null
        assert info.op == op.kind.encode()
        assert whole.startswith(info.name) and len(info.name) >= min(len(whole), 60)
        assert info.output_bytes == network.tensors[op.output].bytes
    digest = (ctypes.c_uint8 * 32).in_dll(library, "stq_network_model_hash")
    assert bytes(digest).hex() == network.sha256()
    levels = random_levels(plain, 5)
    with HostExecutor(plan_network(network), workers=1, cache_dir=host_cache) as host:
        assert np.array_equal(host.layer_crcs(levels), NumpyExecutor(plan_network(plain)).layer_crcs(levels))


def test_a_network_without_weights_compiles(host_cache: Path) -> None:
    image = TensorType((3, 3, 1), "int8", -5, 5, 1.0)
    pooled = TensorType((1, 1, 1), "int8", -5, 5, 1.0)
    pool = MaxPool("pool", ("x",), "y", (), Window((3, 3)))
    network = Network({"x": image, "y": pooled}, (pool,), "x", ("y",))
    with HostExecutor(plan_network(network), workers=1, cache_dir=host_cache) as host:
        assert host.run(np.arange(-4, 5).reshape(1, 3, 3, 1))[0].tolist() == [[[[4]]]]


def test_a_constant_threshold_layer_compiles(host_cache: Path) -> None:
    x = TensorType((2,), "int8", -5, 5, 1.0)
    y = TensorType((2,), "int8", 4, 4, 1.0)
    constant = ThresholdRequantize(np.zeros((2, 0), np.int32), np.array([1, -1], np.int8), 4)
    op = Dense("d", ("x",), "y", (), np.ones((2, 2), np.int8), 2, constant)
    program = plan_network(Network({"x": x, "y": y}, (op,), "x", ("y",)))
    with HostExecutor(program, workers=1, cache_dir=host_cache) as host:
        assert host.run(np.array([[-5, 5]]))[0].tolist() == [[4, 4]]
