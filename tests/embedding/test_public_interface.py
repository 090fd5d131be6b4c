"""What a generated network offers to other people's programs: names, contexts, memory of the caller, every output."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.codegen.names import DEFAULT_NAME, MAXIMUM_LENGTH, checked_name
from stq_deploy.common.errors import StqError
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.noise import InputNoise
from stq_deploy.network.ops import Table
from stq_deploy.network.reference import run_layers, run_outputs
from stq_deploy.program import plan_network
from stq_deploy.rewrites import add_input_noise
from tests.helpers.embedding.own_library import (
    APART,
    ARGUMENT_ERROR,
    OK,
    Context,
    Own,
    build_library,
    planned,
    write_networks,
)
from tests.helpers.networks import random_levels, random_network

NETWORKS = {"kws": random_network(979, 40), "wake_word": random_network(5)}
"""One with several outputs and a concatenation, and a small one."""


def reference(network: Network, levels: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Every output of one sample."""
    tensors = {network.input: levels[None]} | {op.output: made for op, made in run_layers(network, levels[None])}
    return [tensors[name][0] for name in network.outputs]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, host_cache: Path) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("own"), host_cache, NETWORKS)


@pytest.fixture(params=NETWORKS)
def own(request: pytest.FixtureRequest, library: ctypes.CDLL) -> Own:
    return Own(library, request.param, NETWORKS[request.param])


def context_of(own: Own) -> Iterator[Context]:
    """A context in memory of the caller, filled with what an earlier program may have left."""
    plan = planned(own.name, own.network)
    wanted = (plan.arena.bytes, plan.separate_scratch_bytes)
    memory = [np.full(size // 8 + 1, -6148914691236517206, np.int64) for size in wanted]
    context = Context()
    sizes = [array.nbytes for array in memory]
    status = own.library[f"{own.name}_init"](
        ctypes.byref(context), ctypes.c_void_p(memory[0].ctypes.data), sizes[0],
        ctypes.c_void_p(memory[1].ctypes.data), sizes[1],
    )  # fmt: skip
    assert status == OK
    yield context
    assert memory[0] is not None  # kept until here


def test_every_output_comes_by_index(own: Own) -> None:
    for levels in random_levels(own.network, 3):
        own.write(levels)
        assert own.call("run") == OK
        for index, expected in enumerate(reference(own.network, levels)):
            assert np.array_equal(own.output(index), expected), own.network.outputs[index]
    for index in (-1, len(own.network.outputs)):
        assert own.call("output", index, returns=ctypes.c_void_p) is None


def test_layers_run_one_by_one_and_no_others(own: Own) -> None:
    levels = random_levels(own.network, 1)[0]
    own.write(levels)
    layers = len(plan_network(own.network).layers)
    assert [own.call("run_layer", index) for index in range(layers)] == [OK] * layers
    assert np.array_equal(own.output(), reference(own.network, levels)[0])
    for index in (-1, layers):
        assert own.call("run_layer", index) == ARGUMENT_ERROR


def test_contexts_of_one_network_run_interleaved(own: Own) -> None:
    """What one context holds between two layers, the layers of another do not touch."""
    keepers = [context_of(own) for _ in range(2)]
    both = [Own(own.library, own.name, own.network, next(keeper)) for keeper in keepers]
    samples = random_levels(own.network, 2, seed=4)
    for one, levels in zip(both, samples, strict=True):
        one.write(levels)
    for layer in range(len(plan_network(own.network).layers)):
        assert [one.call("run_layer", layer) for one in both] == [OK, OK]
    for one, levels in zip(both, samples, strict=True):
        for index, expected in enumerate(reference(own.network, levels)):
            assert np.array_equal(one.output(index), expected)
    for keeper in keepers:
        assert next(keeper, None) is None


@pytest.mark.parametrize("less", [(None, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_memory_that_does_not_suit_is_refused(own: Own, less: tuple[int | None, int, int, int]) -> None:
    plan = planned(own.name, own.network)
    scratch_bytes = plan.separate_scratch_bytes
    memory = np.zeros(plan.arena.bytes + scratch_bytes + 64, np.int8)
    start = memory.ctypes.data + -memory.ctypes.data % 32
    arena = None if less[0] is None else ctypes.c_void_p(start + less[0])
    scratch = ctypes.c_void_p(start + -(-plan.arena.bytes // 4) * 4 + less[2])
    context = Context(arena=77)
    status = own.library[f"{own.name}_init"](
        ctypes.byref(context), arena, plan.arena.bytes - less[1], scratch, max(scratch_bytes - less[3], 0)
    )
    if any(less[2:]) and own.name != APART:  # no scratch memory is asked for, so any will do
        assert (status, context.arena) == (OK, arena and arena.value)
    else:
        assert (status, context.arena) == (ARGUMENT_ERROR, 77)


def test_two_networks_share_no_name(tmp_path: Path) -> None:
    write_networks(tmp_path, NETWORKS)
    names = {}
    for name in NETWORKS:
        text = "".join(path.read_text() for path in (tmp_path / name).glob("*.[ch]"))
        found = set(re.findall(r"^(?:extern )?(?:const )?\w+ \*?(\w+)[(\[]", text, re.M))
        assert found and all(one.startswith(name) for one in found if not one.startswith(("layer", "is_", "scratch")))
        names[name] = {one for one in found if one.startswith(name)}
    assert not set.intersection(*names.values())


def test_the_header_states_facts(tmp_path: Path) -> None:
    network = NETWORKS["kws"]
    write_networks(tmp_path, {"kws": network})
    stated = dict(re.findall(r"^#define (KWS_\w+) (.+)$", (tmp_path / "kws" / "kws.h").read_text(), re.M))
    plan, image = plan_network(network), network.input_type
    assert stated["KWS_TOOL_VERSION"] == '"1.2.3"'
    assert stated["KWS_MODEL_HASH"] == f'"{network.sha256()}"'
    assert stated["KWS_INPUT_SHAPE"] == "{" + ", ".join(map(str, image.shape)) + "}"
    assert int(stated["KWS_INPUT_CHANNELS"]) == image.channels
    assert int(stated["KWS_INPUT_ELEMENTS"]) == image.elements
    assert float(stated["KWS_INPUT_SCALE"].rstrip("f")) == image.scale
    assert int(stated["KWS_INPUT_ZERO_POINT"].strip("()")) == image.zero_point
    assert int(stated["KWS_OUTPUTS"]) == len(network.outputs) > 1
    for index, name in enumerate(network.outputs):
        tensor = network.tensors[name]
        assert int(stated[f"KWS_OUTPUT_{index}_ELEMENTS"]) == tensor.elements
        assert float(stated[f"KWS_OUTPUT_{index}_SCALE"].rstrip("f")) == tensor.scale
        assert stated[f"KWS_OUTPUT_{index}_TYPE"] == f"STQ_S{8 * np.dtype(tensor.dtype).itemsize}"
    assert int(stated["KWS_ARENA_BYTES"]) == plan.arena.bytes
    assert int(stated["KWS_SCRATCH_BYTES"]) == 0 < plan.scratch_bytes
    write_networks(tmp_path, {APART: network})
    stated = dict(re.findall(r"^#define (WAKE_\w+) (.+)$", (tmp_path / APART / f"{APART}.h").read_text(), re.M))
    apart = planned(APART, network)
    assert int(stated["WAKE_WORD_ARENA_BYTES"]) == apart.arena.bytes < plan.arena.bytes
    assert int(stated["WAKE_WORD_SCRATCH_BYTES"]) >= plan.scratch_bytes


def test_classes_have_their_names_where_these_fit(tmp_path: Path, host_cache: Path) -> None:
    network = NETWORKS["wake_word"]
    classes = network.output_type.elements
    hostile = ['yes "no" */', *(f"class {i}\n" for i in range(1, classes))]
    named = replace(network, metadata=Metadata.from_json({"class_names": hostile}))
    library = build_library(tmp_path / "named", host_cache, {"named": named})
    names = (ctypes.c_char_p * classes).in_dll(library, "named_class_names")
    assert [name.decode() for name in names] == hostile
    for other in (hostile[1:], "text", [1] * classes, None):
        without = replace(network, metadata=Metadata.from_json({"class_names": other}))
        write_networks(tmp_path / "without", {"kws": without})
        assert "class_names" not in (tmp_path / "without" / "kws" / "kws.h").read_text()


@pytest.mark.parametrize("name", ["a", "kws", "kws_2", "a" * MAXIMUM_LENGTH, DEFAULT_NAME])
def test_names_that_c_can_have(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "2kws", "_kws", "KWS", "k-ws", "k ws", "../kws", "kws\n", "ü", "a" * (MAXIMUM_LENGTH + 1), "stq", "stq_add",
     "stq_network", "network", "string", "features", "memory"],
)  # fmt: skip
def test_names_that_would_break_a_project(name: str) -> None:
    with pytest.raises(StqError, match="cannot be called"):
        checked_name(name)


def test_the_reference_is_that_of_the_executor() -> None:
    network = NETWORKS["wake_word"]
    levels = random_levels(network, 1)
    assert np.array_equal(reference(network, levels[0])[0], NumpyExecutor(plan_network(network)).run(levels)[0][0])


EVERY_LEVEL = np.arange(-128, 128).reshape(256, 1)


def one_unit(units: int = 1, **metadata: object) -> Network:
    """A network whose output is a table of its input, so that every output level can be seen."""
    table = np.random.default_rng(3).permutation(np.arange(-128, 128)).astype(np.int8)
    tensors = {
        "x": TensorType((units,), "int8", -128, 127, 0.5),
        "y": TensorType((units,), "int8", -128, 127, 0.0625, 3),
    }
    return Network(tensors, (Table("y", ("x",), "y", (), table=table),), "x", ("y",), Metadata.from_json(metadata))


def functions_of(name: str) -> dict[str, object]:
    """Metadata of a model that ends in this function, which the network leaves out."""
    return {"output_functions": [[name] if name != "linear" else []], "last_steps": [name]}


YES = {
    "sigmoid": (one_unit(**functions_of("sigmoid")), lambda z: 1 / (1 + np.exp(-z)) > 0.5),
    "own": (one_unit(**functions_of("sigmoid"), threshold=0.7), lambda z: 1 / (1 + np.exp(-z)) > 0.7),
    "tanh": (one_unit(**functions_of("tanh")), lambda z: np.tanh(z) > 0),
    "logit": (one_unit(**functions_of("linear"), threshold=-1.25), lambda z: z > -1.25),
    "stated": (one_unit(**functions_of("linear"), task="binary"), lambda z: z > 0),
    "never": (one_unit(**functions_of("sigmoid"), threshold=1), lambda z: z > np.inf),
    "always": (one_unit(**functions_of("tanh"), threshold=-1), lambda z: z > -np.inf),
    "far": (one_unit(**functions_of("linear"), threshold=1e30), lambda z: z > 1e30),
    "labels": (one_unit(units=3, **functions_of("sigmoid"), task="multi-label"), lambda z: 1 / (1 + np.exp(-z)) > 0.5),
}
"""Name -> network, and what its float model says of a logit."""
NO_THRESHOLD = {
    "number": one_unit(**functions_of("linear")),
    "regression": one_unit(**functions_of("sigmoid"), task="regression"),
    "classes": one_unit(units=3, **functions_of("softmax")),
}


def test_one_unit_is_read_by_its_threshold(tmp_path: Path, host_cache: Path) -> None:
    """Every output level, against the model's function of the real number in float64."""
    library = build_library(tmp_path, host_cache, {name: network for name, (network, _) in YES.items()})
    for name, (network, says) in YES.items():
        own, tensor = Own(library, name, network), network.tensors["y"]
        for levels in np.repeat(EVERY_LEVEL, tensor.elements, axis=1):
            own.write(levels)
            assert own.call("run") == OK
            logits = (own.output().astype(np.float64) - tensor.zero_point) * tensor.scale
            found = [own.call("above_threshold", element) for element in range(tensor.elements)]
            assert found == says(logits).astype(int).tolist(), (name, levels, logits)
        assert [own.call("above_threshold", element) for element in (-1, tensor.elements)] == [-1, -1]


def test_a_threshold_is_stated_only_where_there_is_one(tmp_path: Path) -> None:
    write_networks(tmp_path, {name: network for name, (network, _) in YES.items()} | NO_THRESHOLD)
    for name in NO_THRESHOLD:
        assert "THRESHOLD" not in (tmp_path / name / f"{name}.h").read_text()
    for name, value in (("sigmoid", "0.5f"), ("own", "0.7"), ("tanh", "0.0f"), ("logit", "-1.25f")):
        assert f"#define {name.upper()}_THRESHOLD {value}\n" in (tmp_path / name / f"{name}.h").read_text()


class NoisyContext(Context):
    """The context of a network with fresh noise."""

    _fields_ = (("noise_counter", ctypes.c_void_p),)


def test_a_network_with_noise_counts_its_inferences(tmp_path: Path, host_cache: Path) -> None:
    """The static counter begins at 0, a run adds 1 with carry, and without a counter no layer with noise runs."""
    noisy = add_input_noise(NETWORKS["wake_word"], InputNoise(9.0, seed=3))
    library = build_library(tmp_path, host_cache, {"noisy": noisy})
    own = Own(library, "noisy", noisy, NoisyContext.in_dll(library, "noisy_static"))
    levels = random_levels(noisy, 1)[0]

    def result(counter: int) -> npt.NDArray[np.int64]:
        return run_outputs(noisy, levels[None], counters=np.array([counter], np.uint64))[0][0]

    assert not np.array_equal(result(0), result(1))
    for counter in range(3):
        own.write(levels)
        assert own.call("run") == OK
        assert np.array_equal(own.output(), result(counter))
    words = (ctypes.c_uint32 * 2).from_address(own.context.noise_counter)
    words[0] = 2**32 - 1
    own.write(levels)
    assert own.call("run") == OK
    assert np.array_equal(own.output(), result(2**32 - 1)) and list(words) == [0, 1]

    plan, context = plan_network(noisy), NoisyContext(noise_counter=77)
    memory = [np.zeros(size // 8 + 1, np.int64) for size in (plan.arena.bytes, plan.scratch_bytes)]
    places = [argument for array in memory for argument in (ctypes.c_void_p(array.ctypes.data), array.nbytes)]
    assert library.noisy_init(ctypes.byref(context), *places) == OK
    mine = Own(library, "noisy", noisy, context)
    mine.write(levels)
    assert mine.call("run") == ARGUMENT_ERROR
    counter = np.array([7, 1], np.uint32)
    context.noise_counter = counter.ctypes.data
    assert mine.call("run") == OK
    assert np.array_equal(mine.output(), result((1 << 32) + 7)) and counter.tolist() == [8, 1]
