"""The random noise defense: the noise that is documented, answers that differ, and counts that others can repeat."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.network import TensorType
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.noise import InputNoise, gaussian_levels
from stq_deploy.research.attacks.defence import FRESH_DRAWS, RandomNoise
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras

SHAPE = (6, 6, 1)
PIXELS = InputFormat(TensorType(SHAPE, "int8", -128, 127, 1 / 255, -128))


@pytest.fixture(name="weights", scope="module")
def _weights() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(36, 3)).astype(np.float32)


@pytest.fixture(name="victim", scope="module")
def _victim(weights: np.ndarray) -> Any:
    import tf_keras

    from stq_deploy.research.attacks.victim import Victim

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(3, use_bias=False)])
    model.set_weights([weights])
    return Victim(model)


def _pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def test_sample_i_of_draw_d_has_its_own_counter() -> None:
    levels = np.zeros((3, 4, 5), np.int64)
    spec = TensorType((4, 5), "int8", -100, 100, 1.0)
    found = InputNoise(9.0, 7).on(levels, spec, draw=2, first=10)
    for i, one in enumerate(found):
        np.testing.assert_array_equal(one, gaussian_levels(7, (2 << 32) + 10 + i, (4, 5), 9.0))


def test_every_answer_is_that_of_a_noisy_picture_with_fresh_noise(victim: Any, weights: np.ndarray) -> None:
    """Against noise, clamp and product written out here."""
    pictures = _pictures(5)
    x = pictures / np.float32(255)
    noisy = RandomNoise(12.75).around(victim, PIXELS, [3, 1], range(10, 15))
    seed = int(np.random.SeedSequence([3, 1]).generate_state(1, np.uint64)[0])
    for question in range(2):
        moved = [
            np.clip(picture.astype(int) + gaussian_levels(seed, (question << 32) + 10 + i, SHAPE, 12.75), 0, 255)
            for i, picture in enumerate(pictures)
        ]
        expected = (np.stack(moved).reshape(5, -1) / 255) @ weights
        np.testing.assert_allclose(noisy.logits(x), expected, atol=1e-4)


def test_each_sample_has_a_stream_of_its_own(victim: Any) -> None:
    """Its answers are those that it has alone, whatever is asked of others between."""
    x = _pictures(4) / np.float32(255)
    alone = [RandomNoise(12.75).around(victim, PIXELS, [3], [number]) for number in (20, 21, 22, 23)]
    together = RandomNoise(12.75).around(victim, PIXELS, [3], range(20, 24))
    for asked in ([2, 0], [1], [3, 3, 0, 3], [0, 1, 2, 3]):
        found = together.of(np.array(asked)).logits(x[asked])
        expected = [alone[i].logits(x[i : i + 1])[0] for i in asked]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_attacker_averages(victim: Any) -> None:
    x = _pictures(4) / np.float32(255)
    single = RandomNoise(5.1).around(victim, PIXELS, [0], range(4))
    answers = [single.logits(x) for _ in range(3)]
    assert not np.array_equal(answers[0], answers[1])
    before = victim.forward_passes
    np.testing.assert_allclose(
        RandomNoise(5.1, 3).around(victim, PIXELS, [0], range(4)).logits(x), np.mean(answers, 0), atol=1e-5
    )
    assert victim.forward_passes == before + 3 * 4
    y = np.zeros(4, np.int64)
    logits, losses, gradients = RandomNoise(5.1, 3).around(victim, PIXELS, [0], range(4)).gradient(x, y, "ce")
    np.testing.assert_allclose(logits, np.mean(answers, 0), atol=1e-5)
    assert losses.shape == (4,) and gradients.shape == x.shape and np.abs(gradients).min() > 0


@pytest.mark.parametrize("text", ["rnd", "rnd:", "rnd:zero", "rnd:0", "rnd:-1", "rnd:nan", "rnd:300", "gauss:2", ""])
def test_impossible_defenses(text: str) -> None:
    with pytest.raises(StqError):
        RandomNoise.from_text(text)


def test_averaging_needs_a_defense(tmp_path: Path) -> None:
    from stq_deploy.cli._attacks import chosen_defence

    with pytest.raises(StqError, match="there is no noise"):
        chosen_defence(None, 4)
    with pytest.raises(StqError, match="cannot be averaged"):
        chosen_defence("rnd:2.55", 0)
    assert chosen_defence("rnd:2.55", 4) == RandomNoise(2.55, 4)
    assert chosen_defence(None, 1) is None


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import art.estimators.classification  # noqa: F401 - it closes a stream of absl's, see test_command.py
    import qkeras
    import tf_keras

    work = tmp_path_factory.mktemp("defence")
    tf_keras.utils.set_random_seed(1)
    x = inputs = tf_keras.Input(SHAPE)
    x = qkeras.QActivation("quantized_relu(8,0)", name="levels")(x)
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(3, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", use_bias=False, name="fc")(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("softmax", name="softmax")(x), name="small")
    model.save(work / "m.h5")
    pictures = _pictures(24, 5)
    labels = model.predict(pictures / np.float32(255), verbose=0).argmax(axis=1).astype(np.int64)
    save_samples(SampleSet(pictures, labels, SampleMetadata("noise")), work / "in.npz")
    return work


def test_counts_under_fresh_noise_are_those_of_evaluate(work: Path) -> None:
    """The record of `attack --defence` against three executors that draw the same noise."""
    found = json_of(
        invoke(
            "attack", "--model", work / "m.h5", "--attack", "pgd", "--eps", "40/255", "--samples", work / "in.npz",
            "--defence", "rnd:64", "--eot", "2", "--seed", "9", "-o", work / "pgd.npz", "--json",
        )
    )  # fmt: skip
    record = load_samples(work / "pgd.npz").metadata.defence.to_json()
    assert found["files"][0]["defence"] == record
    assert (record["name"], record["sigma_levels"], record["eot"], record["noise_seed"]) == ("rnd", 64, 2, 9)
    for kind, path in (("clean", "in.npz"), ("attacked", "pgd.npz")):
        for executor in ("float", "numpy", "host"):
            scored = json_of(
                invoke(
                    "evaluate", "--model", work / "m.h5", "--samples", work / path, "--executor", executor, "--noise",
                    "64", "--noise-seed", "9", "--noise-draws", FRESH_DRAWS, "--json",
                )
            )  # fmt: skip
            drawn = [draw["correct"] for draw in scored["noise"]["draws"]]
            expected = record["correct"]["float" if executor == "float" else "integer"][kind]
            assert drawn == expected, (kind, executor)
    assert len(set(record["correct"]["integer"]["clean"])) > 1  # draws differ
    attacked, clean = (np.mean(record["correct"]["integer"][kind]) for kind in ("attacked", "clean"))
    assert attacked < clean


def test_evaluate_without_noise_says_nothing_of_it(work: Path) -> None:
    plain = json_of(invoke("evaluate", "--model", work / "m.h5", "--samples", work / "in.npz", "--json"))
    assert "noise" not in plain and plain["correct"] == 24
    none = json_of(invoke("evaluate", "--model", work / "m.h5", "--samples", work / "in.npz", "--noise", "0", "--json"))
    assert none["correct"] == 24 and none["noise"]["sigma_levels"] == 0


def test_all_steps_break_what_a_lucky_success_leaves(victim: Any) -> None:
    """On a linear model: fresh noise undoes few pictures of the attack that goes on, and many of the one that stops."""
    from stq_deploy.research.attacks.abstract_attack import Attack
    from stq_deploy.research.attacks.budget import Budget
    from stq_deploy.research.attacks.full_pgd import FullPgd
    from stq_deploy.research.attacks.pgd import Pgd
    from stq_deploy.research.attacks.search import Search
    from stq_deploy.research.attacks.streams import Streams

    x = _pictures(32, 2) / np.float32(255)
    y = victim.predict(x)
    noise = RandomNoise(12.75, 4)

    def right_afterwards(attack: Attack) -> float:
        met = noise.around(victim, PIXELS, [5], range(32))
        search = Search(met, x, y, Budget.of_pixels("inf", attack.eps), Streams(0, list(range(32))))
        attack.run(search)
        levels = PIXELS.levels(PIXELS.model_values(search.found))
        classes = noise.fresh(lambda drawn: victim.predict(PIXELS.samples(drawn)), levels, PIXELS, 0, np.arange(32))
        return float((classes == y).mean())

    settings = {"eps": 0.4, "max_iter": 20}
    assert right_afterwards(FullPgd(**settings)) < right_afterwards(Pgd(**settings)) / 2
