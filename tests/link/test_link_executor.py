"""A generated network behind the link gives what the NumPy reference gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.codegen import generate
from stq_deploy.common.errors import StqError
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.network.noise import InputNoise
from stq_deploy.program import plan_network
from stq_deploy.rewrites import add_input_noise
from stq_deploy.targets.link.identity import WrongBoardError
from stq_deploy.targets.link.session import Session
from stq_deploy.toolchain.kernel_sources import every_kernel
from tests.helpers.link.c_boards import compile_board
from tests.helpers.link.damage import Damage
from tests.helpers.link.simulated_board import SimulatedBoard
from tests.helpers.networks import random_levels, random_network

NETWORK = random_network(11)
LEVELS = random_levels(NETWORK, 9)


@pytest.fixture(scope="module")
def generated_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generated = generate(plan_network(NETWORK), folder, command="test", tool_version="0")
    kernels = every_kernel("reference", folder / "kernels")
    includes = [f"-I{path}" for path in kernels.include_folders]
    sources = [*generated.sources, *kernels.files]
    return compile_board(folder, "memory_board", ["-shared", "-fPIC", "-O0", *includes], network=sources)


def executor(board: Path, network: Network = NETWORK) -> LinkExecutor:
    session = Session(SimulatedBoard(board, to_board=Damage(1, 1e-3), to_host=Damage(2, 1e-3)))
    session.open()
    return LinkExecutor(plan_network(network), session, name="simulated")


def test_logits_crcs_and_layer_outputs_are_the_references(generated_board: Path) -> None:
    finished: list[int] = []
    with executor(generated_board) as on_board, NumpyExecutor(plan_network(NETWORK)) as reference:
        logits = on_board.run(LEVELS, finished.append)[0]
        assert logits.dtype == reference.run(LEVELS)[0].dtype
        assert (logits == reference.run(LEVELS)[0]).all()
        crcs = reference.layer_crcs(LEVELS)
        assert (on_board.layer_crcs(LEVELS) == crcs).all()
        for layer in range(crcs.shape[1]):
            output, wanted = (one.layer_output(LEVELS[3], layer) for one in (on_board, reference))
            assert (output.dtype, output.shape) == (wanted.dtype, wanted.shape)
            assert (output == wanted).all()
        streamed = list(on_board.stream(iter(LEVELS), crcs=True, layer_cycles=True))
        assert [result.logits.tolist() for result in streamed] == logits.reshape(len(LEVELS), -1).tolist()
        outputs = reference.run(LEVELS)
        assert len(outputs) > 1
        for i, result in enumerate(on_board.stream(iter(LEVELS), all_outputs=True)):
            assert result.others == tuple(output[i].tobytes() for output in outputs[1:])
        assert [layer.name for layer in on_board.session.layers()] == [
            op.name for op in NETWORK.ops if op.kind != "reshape"
        ]
    assert finished == list(range(1, len(LEVELS) + 1))


def test_one_inference_gives_every_output(tmp_path: Path) -> None:
    """A generated network with several outputs: values, types and shapes, and one inference for each sample."""
    network = next(one for one in map(random_network, range(200)) if len(one.outputs) > 2)
    generated = generate(plan_network(network), tmp_path, command="test", tool_version="0")
    kernels = every_kernel("reference", tmp_path / "kernels")
    flags = ["-shared", "-fPIC", "-O0", *(f"-I{path}" for path in kernels.include_folders)]
    board = compile_board(tmp_path, "memory_board", flags, network=[*generated.sources, *kernels.files])
    levels = random_levels(network, 5)
    with executor(board, network) as on_board, NumpyExecutor(plan_network(network)) as reference:
        found, expected = on_board.run(levels), reference.run(levels)
        assert len(found) == len(network.outputs)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert on_board.session.counters().inferences == len(levels)


def test_fresh_noise_goes_by_the_counters_that_are_sent(tmp_path: Path) -> None:
    """Over a line with damage, where requests are repeated; with levels in one request and in chunks."""
    network = add_input_noise(NETWORK, InputNoise(9.0, seed=1 << 63))
    generated = generate(plan_network(network), tmp_path, command="test", tool_version="0")
    kernels = every_kernel("reference", tmp_path / "kernels")
    flags = ["-shared", "-fPIC", "-O0", *(f"-I{path}" for path in kernels.include_folders)]
    board = compile_board(tmp_path, "memory_board", flags, network=[*generated.sources, *kernels.files])
    counters = np.arange(9, dtype=np.uint64)[::-1] << np.uint64(31)
    with executor(board, network) as on_board, NumpyExecutor(plan_network(network)) as reference:
        wanted = reference.layer_crcs(LEVELS, counters=counters)
        np.testing.assert_array_equal(on_board.layer_crcs(LEVELS, counters=counters), wanted)
        np.testing.assert_array_equal(on_board.layer_crcs(LEVELS), reference.layer_crcs(LEVELS))
        for one, other in zip(on_board.run(LEVELS, counters=counters), reference.run(LEVELS, counters=counters),
                              strict=True):  # fmt: skip
            np.testing.assert_array_equal(one, other)
        output, right = (one.layer_output(LEVELS[3], 1, 5 << 40) for one in (on_board, reference))
        np.testing.assert_array_equal(output, right)
        streamed = on_board.stream(iter(LEVELS), crcs=True, counters=iter(counters.tolist()))
        np.testing.assert_array_equal([result.crcs for result in streamed], wanted)
        object.__setattr__(on_board.session.facts, "max_request", 40)  # as of a board with less room
        np.testing.assert_array_equal(on_board.layer_crcs(LEVELS, counters=counters), wanted)


def test_bad_levels_and_layers_are_refused_before_they_are_sent(generated_board: Path) -> None:
    with executor(generated_board) as on_board:
        with pytest.raises(StqError, match="have shape"):
            on_board.run(LEVELS[:, :-1])
        with pytest.raises(StqError, match="not integers in"):
            on_board.run(np.full_like(LEVELS, 200))
        with pytest.raises(StqError, match="no layer 99"):
            on_board.layer_output(LEVELS[0], 99)
        assert on_board.session.counters().inferences == 0


def test_closing_twice_closes_the_line_and_sends_nothing(generated_board: Path) -> None:
    board = SimulatedBoard(generated_board)
    session = Session(board)
    session.open()
    on_board = LinkExecutor(plan_network(NETWORK), session, name="simulated")
    sent = board.bytes_to_board
    assert not board.closed
    on_board.close()
    assert board.closed
    on_board.close()
    assert board.bytes_to_board == sent


def test_another_network_is_noticed(generated_board: Path) -> None:
    with pytest.raises(WrongBoardError, match="wrong model on the board"):
        executor(generated_board, random_network(12))


def test_sizes_that_are_not_the_networks_are_noticed(generated_board: Path) -> None:
    """Facts of a board that states the right model hash, and wrong values for the rest."""
    with executor(generated_board) as honest:
        session = honest.session
        for name in ("input_bytes", "output_count", "output_type", "layer_count"):
            right = session.facts
            session._facts = dataclasses.replace(right, **{name: getattr(right, name) + 1})
            with pytest.raises(WrongBoardError, match="contradicts its own model hash"):
                LinkExecutor(plan_network(NETWORK), session, name="simulated")
            session._facts = right
        LinkExecutor(plan_network(NETWORK), session, name="simulated")
