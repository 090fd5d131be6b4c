"""Transfer: the source's gradients, the victim's judgement, the same budgets as every other attack."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.registry import get_attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.streams import Streams
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras

SHAPE = (8, 8, 1)
PIXELS = 64


@pytest.fixture(name="weights", scope="module")
def _weights() -> np.ndarray:
    return np.random.default_rng(4).choice([-1.0, 1.0], PIXELS).astype(np.float32)


def _model(weights: np.ndarray, classes: int = 2) -> Any:
    """Two classes, logits (w.x, -w.x)."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(classes, use_bias=False)])
    columns = [weights, -weights, *[np.zeros(PIXELS, np.float32)] * (classes - 2)]
    model.set_weights([np.stack(columns, axis=1)])
    return model


def _victim(weights: np.ndarray) -> Any:
    from stq_deploy.research.attacks.victim import Victim

    return Victim(_model(weights))


def _picture(weights: np.ndarray, needed: int) -> np.ndarray:
    """A picture of class 0. It leaves the class when every pixel moves by `needed` levels, and not before."""
    pixels = np.full(PIXELS, 128)
    surplus = needed * PIXELS - 1 - int((pixels * weights).sum())
    step, rest = divmod(abs(surplus), PIXELS)
    sign = (np.sign(surplus) * weights).astype(int)
    pixels += sign * step
    pixels[:rest] += sign[:rest]
    assert (pixels * weights).sum() == needed * PIXELS - 1
    return (pixels.reshape(1, *SHAPE) / np.float32(255)).astype(np.float32)


def _attacked(victim: Any, source: Any, x: np.ndarray, eps: float, norm: str = "inf") -> Search:
    attack = get_attack("transfer").from_text({"eps": repr(eps), "norm": norm})
    budget = Budget.of_pixels(norm, eps)
    search = Search(victim, x, np.zeros(1, np.int64), budget, Streams(3, [0]), source=source)
    attack.run(search)
    return search


@pytest.mark.parametrize("needed", [1, 3, 8])
def test_an_equal_source_finds_the_smallest_budget(weights: np.ndarray, needed: int) -> None:
    victim, source = _victim(weights), _victim(2 * weights)
    x = _picture(weights, needed)
    found = _attacked(victim, source, x, needed / 255)
    assert found.broken.all()
    assert np.rint(np.abs(found.found - x) * 255).max() == needed
    if needed > 1:
        assert not _attacked(victim, source, x, (needed - 1) / 255).broken.any()
    assert victim.backward_passes == 0 and source.backward_passes > 0


def test_a_source_that_knows_nothing_breaks_nothing(weights: np.ndarray) -> None:
    victim, against = _victim(weights), _victim(-weights)
    x = _picture(weights, 4)
    assert not _attacked(victim, against, x, 20 / 255).broken.any()  # its steps raise the victim's margin


def test_l2_stays_inside_the_budget(weights: np.ndarray) -> None:
    victim, source = _victim(weights), _victim(weights)
    x, eps = _picture(weights, 3), 3.2 * 8 / 255  # moving all 64 pixels by 3 levels takes 3 * 8 / 255
    found = _attacked(victim, source, x, eps, "2")
    assert found.broken.all()
    assert np.linalg.norm((found.found - x).astype(np.float64)) <= eps * (1 + 1e-6)


def test_it_needs_a_source_that_fits(weights: np.ndarray) -> None:
    from stq_deploy.research.attacks.craft import TransferSource

    victim = _victim(weights)
    with pytest.raises(StqError, match="none is given"):
        _attacked(victim, None, _picture(weights, 1), 1 / 255)
    with pytest.raises(StqError, match="has 5 classes"):
        TransferSource(_model(weights, 5), "other", "f" * 64).victim(victim)


@pytest.fixture(name="work", scope="module")
def _work(weights: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import art.estimators.classification  # noqa: F401 - it closes a stream of absl's, see test_command.py

    work = tmp_path_factory.mktemp("transfer")
    _model(weights).save(work / "m.h5")
    _model(-weights).save(work / "other.h5")
    x = np.concatenate([_picture(weights, needed) for needed in (1, 2, 3, 4)])
    save_samples(SampleSet(np.rint(x * 255).astype(np.uint8), np.zeros(4, np.int64)), work / "in.npz")
    return work


@pytest.mark.parametrize(("source", "left"), [("m.h5", 2), ("other.h5", 4)])
def test_the_command_judges_on_the_model_and_names_the_source(work: Path, source: str, left: int) -> None:
    found = json_of(
        invoke(
            "attack", "--model", work / "m.h5", "--attack", "transfer", "--from", work / source, "--eps", "2/255",
            "--samples", work / "in.npz", "-o", work / f"from-{source}.npz", "--json",
        )
    )  # fmt: skip
    assert found["files"][0]["correct"]["attacked"] == left
    metadata = load_samples(work / f"from-{source}.npz").metadata
    assert len(metadata.source_model.file_sha256) == 64
    assert "gradients of another model" in metadata.attack.threat_model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--attack", "transfer"], "--from MODEL"), (["--attack", "pgd", "--from", "m.h5"], "add --attack transfer")],
)
def test_source_and_attack_go_together(work: Path, arguments: list[str], message: str) -> None:
    done = invoke("attack", "--model", work / "m.h5", *arguments, "--samples", work / "in.npz", "-o", work / "x.npz")
    assert done.exit_code == 1 and message in done.output
    assert not (work / "x.npz").exists()
