"""Attack settings from text: typed, bounded, all recorded; and the generators they draw from."""

import random

import numpy as np
import pytest

from stq_deploy.attacks.fgsm import Fgsm
from stq_deploy.attacks.pgd import Pgd
from stq_deploy.attacks.registry import ATTACKS, attack_title, get_attack
from stq_deploy.attacks.seeding import seeded
from stq_deploy.attacks.square import Square
from stq_deploy.errors import StqError


def test_defaults_are_the_communitys_budget() -> None:
    for attack in ATTACKS.values():
        settings = attack.from_text({}).settings
        assert (settings["eps"], settings["norm"]) == (8 / 255, "inf")


def test_settings_from_text() -> None:
    attack = Pgd.from_text({"eps": "16/255", "norm": "2", "max_iter": "7", "eps_step": "0.01"})
    assert attack == Pgd(eps=16 / 255, norm="2", eps_step=0.01, max_iter=7)
    assert attack.settings == {
        "eps": 16 / 255, "norm": "2", "eps_step": 0.01, "max_iter": 7, "num_random_init": 1,
    }  # fmt: skip
    assert Pgd.from_text({"eps": "0.4"}).settings["eps_step"] == 0.1
    assert attack.art_norm == 2
    assert Fgsm().art_norm == float("inf")


@pytest.mark.parametrize(
    ("attack", "settings", "message"),
    [
        ("fgsm", {"steps": "3"}, "no setting 'steps'"),
        ("fgsm", {"eps": "much"}, "'much' is not a number"),
        ("fgsm", {"eps": "1/0"}, "not a number"),
        ("fgsm", {"eps": "nan"}, "not a number"),
        ("fgsm", {"eps": "0"}, "eps = 0.0 is not possible"),
        ("fgsm", {"eps": "-1/255"}, "is not possible"),
        ("fgsm", {"norm": "3"}, "norm = '3' is not possible"),
        ("pgd", {"max_iter": "2.5"}, "not a whole number"),
        ("pgd", {"max_iter": "0"}, "max_iter must be 1 or more"),
        ("pgd", {"eps_step": "0"}, "eps_step = 0.0"),
        ("pgd", {"num_random_init": "-1"}, "num_random_init = -1"),
        ("square", {"norm": "1"}, "norm must be one of inf, 2"),
        ("square", {"p_init": "1"}, "p_init = 1.0"),
        ("boundary", {"delta": "0"}, "delta = 0.0"),
        ("boundary", {"step": "3/2"}, "step = 1.5"),
        ("boundary", {"init_size": "0"}, "init_size = 0"),
        ("boundary", {"max_iter": "0"}, "max_iter must be 1 or more"),
    ],
)
def test_impossible_settings(attack: str, settings: dict[str, str], message: str) -> None:
    with pytest.raises(StqError, match=message) as caught:
        get_attack(attack).from_text(settings)
    assert f"attack {attack}" in str(caught.value)


def test_unknown_attack_names_the_known_ones() -> None:
    with pytest.raises(StqError, match="fgsm, pgd, square, boundary"):
        get_attack("deepfool")


def test_titles() -> None:
    assert [attack_title(name) for name in ("fgsm", "square", "clean", "mine")] == [
        "FGSM",
        "Square",
        "clean",
        "mine",
    ]


def test_a_patch_larger_than_the_picture() -> None:
    with pytest.raises(StqError, match="does not fit a picture of 4x4"):
        Square().perturb(None, np.zeros((1, 4, 4, 1), np.float32), np.zeros(1, np.int64))
    with pytest.raises(StqError, match="at least 10x10, these have 20x9"):
        Square(norm="2").perturb(None, np.zeros((1, 20, 9, 1), np.float32), np.zeros(1, np.int64))


def test_seeding_decides_the_draws_and_leaves_the_generators_as_they_were() -> None:
    def draw(seed: int, part: int) -> tuple[float, float]:
        with seeded(seed, part):
            return random.random(), float(np.random.rand())

    before = random.getstate(), np.random.get_state()[1].tolist()
    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(1, 3), draw(2, 2)}) == 3
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
