"""Fresh noise on a network's input: the same on every executor, as the formula says, and another for each sample."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.certificates.bounds import Interval, propagate
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network import Network, TensorType, load_network, reference, save_network
from stq_deploy.network.noise import InputNoise, sample_counters
from stq_deploy.network.ops import FreshNoise, Reshape
from stq_deploy.program import plan_network
from stq_deploy.rewrites import add_input_noise
from tests.helpers.command_line import invoke
from tests.helpers.networks import random_levels, random_network

NETWORK = random_network(5)
NOISE = InputNoise(12.75, seed=(3 << 32) + 17)
NOISY = add_input_noise(NETWORK, NOISE)
COUNTERS = np.array([0, 1, 0, 5 << 32, (1 << 64) - 1], np.uint64)
LEVELS = random_levels(NETWORK, len(COUNTERS), seed=2)
LEVELS[2] = LEVELS[0]


def only_noise(op: FreshNoise, spec: TensorType) -> Network:
    """A network that adds noise and nothing else."""
    return Network({"x": spec, "y": spec}, (op,), "x", ("y",))


def philox_word(key: tuple[int, int], counter: list[int], place: int) -> int:
    """A word of Philox4x32-10, written with Python's integers after the paper's Figure 2."""
    low, high = key
    r0, l0, r1, l1 = counter[0], counter[1], counter[2], counter[3]
    for _ in range(10):
        first, second = r0 * 0xD2511F53, r1 * 0xCD9E8D57
        r0, l0, r1, l1 = (
            (second >> 32) ^ l0 ^ low, second % 2**32, (first >> 32) ^ l1 ^ high, first % 2**32,
        )  # fmt: skip
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return (r0, l0, r1, l1)[place]


def drawn(noise: InputNoise, counter: int, element: int) -> int:
    """One element's noise, by erf in floating point: the size j has P(|N| >= j - 1/2) and so on."""
    key = (noise.seed % 2**32, noise.seed >> 32)
    word = philox_word(key, [element // 4, counter % 2**32, counter >> 32, 0], element % 4)
    share, size = (word >> 1) / 2**31, 0
    while size < 10 * noise.sigma and share >= math.erf((size + 0.5) / noise.sigma / math.sqrt(2)):
        size += 1
    return -size if word % 2 else size


def test_the_network_is_the_old_one_on_levels_with_noise() -> None:
    noisy_levels = NOISE.at(LEVELS, NETWORK.input_type, COUNTERS)
    expected = reference.run_outputs(NETWORK, noisy_levels)
    for found, wanted in zip(reference.run_outputs(NOISY, LEVELS, counters=COUNTERS), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert not np.array_equal(reference.run(NETWORK, LEVELS), expected[0])


def test_the_noise_is_that_of_an_independent_implementation() -> None:
    spec = NETWORK.input_type
    first = next(output for op, output in reference.run_layers(NOISY, LEVELS, COUNTERS) if isinstance(op, FreshNoise))
    for sample, counter in enumerate(COUNTERS.tolist()):
        noise = [drawn(NOISE, counter, element) for element in range(60)]
        wanted = np.clip(LEVELS[sample].ravel()[:60] + noise, spec.minimum, spec.maximum)
        np.testing.assert_array_equal(first[sample].ravel()[:60], wanted)


def test_every_executor_draws_the_same(host_cache: Path) -> None:
    program = plan_network(NOISY)
    expected = NumpyExecutor(program)
    outputs, crcs = expected.run(LEVELS, counters=COUNTERS), expected.layer_crcs(LEVELS, counters=COUNTERS)
    assert (crcs[0] != crcs[2]).sum() == 0  # equal levels with equal counters
    assert crcs[0, 0] != expected.layer_crcs(LEVELS[:1], counters=COUNTERS[1:2])[0, 0]
    with (
        HostExecutor(program, kernels="reference", workers=2, cache_dir=host_cache) as host,
        HostExecutor(program, workers=1, cache_dir=host_cache) as fast,
        SanitizedExecutor(program, cache_dir=host_cache) as sanitized,
    ):
        for executor in (host, fast, sanitized):
            for found, wanted in zip(executor.run(LEVELS, counters=COUNTERS), outputs, strict=True):
                np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(executor.layer_crcs(LEVELS, counters=COUNTERS), crcs)
            for layer in range(crcs.shape[1]):
                own, right = (one.layer_output(LEVELS[3], layer, 5 << 32) for one in (executor, expected))
                np.testing.assert_array_equal(own, right)
        many = random_levels(NETWORK, 70, seed=9)  # more than a chunk and than a batch
        np.testing.assert_array_equal(host.layer_crcs(many), expected.layer_crcs(many))
        counters = sample_counters(70)
        np.testing.assert_array_equal(host.run(many)[0], reference.run_outputs(NOISY, many, counters=counters)[0])


def test_drawn_noise_is_distributed_as_rounded_normal_numbers(host_cache: Path) -> None:
    """Chi-squared against erf, and the moments against NumPy's own normal generator; drawn by the C kernel."""
    sigma, samples, spec = 3.0, 100, TensorType((1024,), "int16", -1000, 1000, 1.0)
    program = plan_network(only_noise(FreshNoise("n", ("x",), "y", (), sigma, 11), spec))
    with HostExecutor(program, workers=1, cache_dir=host_cache) as host:
        noise = host.run(np.zeros((samples, 1024), np.int16))[0].astype(int).ravel()
    edges = [math.erf((j + 0.5) / sigma / math.sqrt(2)) for j in range(-10, 10)]
    shares = np.diff([-1.0, *edges, 1.0]) / 2
    counts = np.bincount(np.clip(noise, -10, 10) + 10, minlength=21)
    chi_squared = float(((counts - shares * noise.size) ** 2 / (shares * noise.size)).sum())
    assert chi_squared < 45.3  # 20 degrees of freedom: exceeded once in a thousand times
    other = np.rint(np.random.default_rng(1).normal(0, sigma, noise.size))
    error = 5 * sigma * math.sqrt(2 / noise.size)
    assert abs(noise.mean() - other.mean()) < error and abs(noise.std() - other.std()) < error


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_no_noise_is_the_identity(dtype: str, host_cache: Path) -> None:
    assert add_input_noise(NETWORK, InputNoise(0.0)) is NETWORK
    spec = TensorType((7,), dtype, -9, 100, 1.0)
    network = only_noise(FreshNoise("n", ("x",), "y", (), 0.0, 0), spec)
    levels = np.random.default_rng(0).integers(-9, 101, (5, 7))
    np.testing.assert_array_equal(reference.run(network, levels), levels)
    with HostExecutor(plan_network(network), workers=1, cache_dir=host_cache) as host:
        np.testing.assert_array_equal(host.run(levels)[0], levels)


def test_the_file_keeps_the_noise_and_the_hash_tells_it(tmp_path: Path) -> None:
    save_network(NOISY, tmp_path / "noisy.stq")
    loaded = load_network(tmp_path / "noisy.stq")
    assert loaded == NOISY and loaded.has_noise and not NETWORK.has_noise
    others = [NETWORK, *(add_input_noise(NETWORK, InputNoise(s, d)) for s, d in ((12.75, 0), (12.5, NOISE.seed)))]
    assert len({one.sha256() for one in (NOISY, *others)}) == 4


@pytest.mark.parametrize(("sigma", "seed"), [(-1.0, 0), (257.0, 0), (math.nan, 0), (1.0, -1), (1.0, 1 << 64)], ids=str)
def test_impossible_noise_is_an_inconsistent_network(sigma: float, seed: int) -> None:
    with pytest.raises(StqError, match="inconsistent network: the noise's"):
        only_noise(FreshNoise("n", ("x",), "y", (), sigma, seed), TensorType((2,), "int8", 0, 9, 1.0))


def test_noise_is_added_once_and_only_to_what_is_read() -> None:
    with pytest.raises(StqError, match="has noise already"):
        add_input_noise(NOISY, NOISE)
    spec = TensorType((2,), "int8", 0, 9, 1.0)
    unread = Network({"x": spec}, (), "x", ("x",))
    with pytest.raises(StqError, match="no layer reads"):
        add_input_noise(unread, NOISE)
    taken = Network({"x": spec, "input_noise": spec}, (Reshape("input_noise", ("x",), "input_noise", ()),), "x",
                    ("input_noise",))  # fmt: skip
    assert [op.name for op in add_input_noise(taken, NOISE).ops] == ["input_noise_", "input_noise"]


def test_counters_must_be_as_many_as_samples() -> None:
    with pytest.raises(ValueError, match="cannot number"):
        reference.run(NOISY, LEVELS, counters=COUNTERS[:-1])


def test_bounds_hold_for_every_draw() -> None:
    spec = NETWORK.input_type
    ends = [np.clip(LEVELS + step, spec.minimum, spec.maximum) for step in (-1, 1)]
    bounds = propagate(NOISY, Interval(*ends))
    for first in (0, 10**9):
        for op, found in reference.run_layers(NOISY, LEVELS, sample_counters(len(LEVELS), first=first)):
            assert (bounds[op.output].low <= found).all() and (found <= bounds[op.output].high).all(), op.name


def test_commands_make_score_and_refuse(tmp_path: Path) -> None:
    """`evaluate` gives the figures that the host's noise gives on the plain network, draw by draw."""
    from stq_deploy.zoo.shipped import DEFAULT_MODEL

    samples = tmp_path / "samples.npz"
    rng = np.random.default_rng(0)
    np.savez(samples, x=rng.integers(0, 256, (12, 32, 32, 1), dtype=np.uint8), y=rng.integers(0, 10, 12))
    noisy = tmp_path / "noisy.stq"
    made = invoke("convert", DEFAULT_MODEL, "-o", noisy, "--input-noise", 30, "--input-noise-seed", 5)
    assert made.exit_code == 0 and "noise of 30 levels" in made.stdout
    rows = ("--samples", samples, "--executor", "host", "--noise-draws", 2, "--json")
    own = invoke("evaluate", "--model", noisy, *rows)
    host = invoke("evaluate", "--model", DEFAULT_MODEL, *rows, "--noise", 30, "--noise-seed", 5)
    assert own.exit_code == host.exit_code == 0, own.stderr + host.stderr
    assert json.loads(own.stdout)["own_noise"]["draws"] == json.loads(host.stdout)["noise"]["draws"]
    for arguments, words in (
        (("evaluate", "--model", noisy, "--samples", samples, "--noise", 1), "adds noise itself"),
        (("certify", noisy, "--samples", samples, "--family", "mirror", "--limit", 1), "no single answer"),
        (("convert", DEFAULT_MODEL, "-o", tmp_path / "x.stq", "--input-noise-seed", 5), "there is none"),
    ):
        refused = invoke(*arguments)
        assert refused.exit_code == 1 and words in refused.stderr, refused.stderr
