"""A linear integer network, whose nearest adversarial picture is known: attacks find it, and nothing nearer succeeds.

The network has two classes and one output unit a class, z = x . (w, -w) with w = +-1. A gray picture of 144 pixels
whose margin is m levels is misclassified by moving every pixel by m / 144 levels, no sooner.
"""

from typing import Any

import numpy as np
import pytest

from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.registry import get_attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.streams import Streams

pytestmark = pytest.mark.keras

SHAPE = (12, 12, 1)
PIXELS = 144
WHITE_BOX = {
    "fgsm": {},
    "pgd": {"max_iter": "20"},
    "apgd": {"max_iter": "25"},
    "apgd-t": {"max_iter": "25"},
    "worst": {"max_iter": "20", "restarts": "1", "queries": "20"},
}


@pytest.fixture(name="weights", scope="module")
def _weights() -> np.ndarray:
    return np.random.default_rng(4).choice([-1.0, 1.0], PIXELS).astype(np.float32)


@pytest.fixture(name="victim", scope="module")
def _victim(weights: np.ndarray) -> Any:
    import tf_keras

    from stq_deploy.research.attacks.victim import Victim

    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Flatten(input_shape=SHAPE), layers.Dense(2, use_bias=False)])
    # Of whole levels and a power of two every sum is exact, so that a margin of 0 is none.
    model.set_weights([np.stack([weights, -weights], axis=1) / 256])
    return Victim(model, input_range=(0.0, 255.0))


def _picture(weights: np.ndarray, levels: int) -> np.ndarray:
    """A picture of class 0 by `levels` gray levels: sum of weights times pixels is `levels`."""
    pixels = np.full(PIXELS, 128)
    surplus = levels - int((pixels * weights).sum())
    step, rest = divmod(abs(surplus), PIXELS)
    sign = np.sign(surplus) * weights
    pixels = pixels + (sign * step).astype(int)
    pixels[:rest] += sign[:rest].astype(int)
    assert (pixels * weights).sum() == levels and pixels.min() > 20 and pixels.max() < 235
    return (pixels.reshape(1, *SHAPE) / np.float32(255)).astype(np.float32)


def _attacked(victim: Any, name: str, x: np.ndarray, eps: float, norm: str, **settings: str) -> Search:
    attack = get_attack(name).from_text({"eps": repr(eps), "norm": norm, **settings})
    search = Search(victim, x, np.zeros(1, np.int64), Budget.of_pixels(norm, eps), Streams(3, [0]), attack.smallest)
    attack.run(search)
    return search


@pytest.mark.parametrize("name", WHITE_BOX)
@pytest.mark.parametrize("needed", [1, 3, 8])
def test_linf_the_smallest_budget_is_found_and_no_smaller_one(
    victim: Any, weights: np.ndarray, name: str, needed: int
) -> None:
    # The margin is lost when the sum falls below 0: (needed * 144 - 1) levels take `needed` a pixel.
    x = _picture(weights, needed * PIXELS - 1)
    found = _attacked(victim, name, x, needed / 255, "inf", **WHITE_BOX[name])
    assert found.broken.all()
    assert np.rint(np.abs(found.found - x) * 255).max() == needed
    if needed > 1:
        for eps in ((needed - 1) / 255, (needed - 0.1) / 255):
            assert not _attacked(victim, name, x, eps, "inf", **WHITE_BOX[name]).broken.any()


@pytest.mark.parametrize(("name", "rounding"), [("pgd", 6.5 / 255), ("apgd", 6.5 / 255), ("cw", 8.5 / 255)])
def test_l2_within_a_rounding_of_the_distance(victim: Any, weights: np.ndarray, name: str, rounding: float) -> None:
    """The real distance is margin / |w| = margin / 12.

    Whole levels cost up to half a level a pixel, 6 in all. C&W knows no budget into which it would round: it moves all
    pixels by 4 levels here, which is 48 / 255 instead of 40.2 / 255.
    """
    margin = 3 * PIXELS + 50
    x = _picture(weights, margin)
    nearest = margin / 12 / 255
    assert not _attacked(victim, name, x, nearest * 0.99, "2").broken.any()
    found = _attacked(victim, name, x, nearest + rounding, "2")
    assert found.broken.all()
    assert nearest <= Budget.of_pixels("2", 1.0).distance(found.found, x)[0] <= nearest + rounding


def test_l1_old_and_new_steps(victim: Any, weights: np.ndarray) -> None:
    """A budget of 1 in L1 is 255 levels: on one pixel they count once, spread over 144 not one of them is a level."""
    x = _picture(weights, 60)
    assert _attacked(victim, "fgsm", x, 0.3, "1", l1_step="pixel").broken.all()
    assert not _attacked(victim, "fgsm", x, 0.2, "1", l1_step="pixel").broken.any()
    assert not _attacked(victim, "fgsm", x, 0.2, "1", l1_step="spread").broken.any()
    spread = _attacked(victim, "fgsm", x, 0.25, "1", l1_step="spread")
    assert not (spread.found != x).any()  # 64 levels over 144 pixels: each rounds to none


def test_square_finds_it_without_gradients_and_never_below(victim: Any, weights: np.ndarray) -> None:
    x = _picture(weights, 2 * PIXELS - 1)
    assert not _attacked(victim, "square", x, 1 / 255, "inf", max_iter="300").broken.any()
    assert _attacked(victim, "square", x, 24 / 255, "inf", max_iter="3000").broken.all()
    assert not _attacked(victim, "square", x, 20 / 255, "2", max_iter="300").broken.any()
    assert _attacked(victim, "square", x, 2.0, "2", max_iter="3000").broken.all()


@pytest.mark.parametrize("name", ["boundary", "hopskipjump", "zoo"])
def test_attacks_of_art_end_at_stored_pictures(victim: Any, weights: np.ndarray, name: str) -> None:
    import art.estimators.classification  # noqa: F401 - it closes a stream of absl's, see test_command.py

    settings = {
        "boundary": {"max_iter": "60"}, "hopskipjump": {"max_iter": "5"}, "zoo": {"initial_const": "10"}
    }[name]  # fmt: skip
    x = _picture(weights, 100)
    found = _attacked(victim, name, x, 100.0, "2", **settings)
    assert found.broken.all()
    whole = np.rint(found.found * 255)
    np.testing.assert_array_equal(found.found, (whole / np.float32(255)).astype(np.float32))
    assert (whole.ravel() * weights).sum() < 0  # misclassified as stored, by the sum itself
    nearest = float(Budget.of_pixels("2", 1.0).distance(found.found, x)[0])
    assert nearest >= 100 / 12 / 255
    below = _attacked(victim, name, x, 99 / 12 / 255, "2", **settings)
    assert not below.broken.any() and np.array_equal(below.found, x)


def test_zoo_with_arts_own_step_is_blind(victim: Any, weights: np.ndarray) -> None:
    import art.estimators.classification  # noqa: F401

    x = _picture(weights, 1)
    blind = _attacked(victim, "zoo", x, 100.0, "2", variable_h="0.0001", initial_const="10")
    assert not blind.broken.any() and np.array_equal(blind.found, x)


def test_noise_stays_random(victim: Any, weights: np.ndarray) -> None:
    x = _picture(weights, 2 * PIXELS)
    assert not _attacked(victim, "noise", x, 8 / 255, "inf", draws="20").broken.any()
    assert _attacked(victim, "noise", _picture(weights, 1), 8 / 255, "inf", draws="20").broken.all()


def test_the_worst_case_goes_on_to_square_where_gradients_find_nothing(victim: Any, weights: np.ndarray) -> None:
    """With gradients that are 0, as a masked network has them, nothing but Square moves."""

    class Masked(type(victim)):  # type: ignore[misc]
        def __init__(self) -> None:
            vars(self).update(vars(victim))

        def gradient(self, x: np.ndarray, *rest: Any) -> Any:
            logits, losses, gradient = victim.gradient(x, *rest)
            return logits, losses, 0 * gradient

    x = _picture(weights, 3 * PIXELS - 1)
    weak = {"max_iter": "2", "restarts": "1", "targets": "1"}
    assert not _attacked(Masked(), "worst", x, 24 / 255, "inf", **weak, queries="1").broken.any()
    assert _attacked(Masked(), "worst", x, 24 / 255, "inf", **weak, queries="3000").broken.all()
