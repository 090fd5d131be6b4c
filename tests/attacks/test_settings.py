"""Attack settings from text: typed, bounded, all recorded; and what is drawn for each sample."""

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.registry import ATTACKS, attack_title, get_attack
from stq_deploy.research.attacks.streams import Streams


def test_defaults_are_the_communitys_budget() -> None:
    for attack in ATTACKS.values():
        settings = attack.from_text({}).settings
        assert (settings["eps"], settings["norm"]) in ((8 / 255, "inf"), (0.5, "2"))


def test_settings_from_text() -> None:
    attack = Pgd.from_text({"eps": "16/255", "norm": "2", "max_iter": "7", "eps_step": "0.01"})
    assert attack == Pgd(eps=16 / 255, norm="2", eps_step=0.01, max_iter=7)
    assert attack.settings == {
        "eps": 16 / 255, "norm": "2", "eps_step": 0.01, "max_iter": 7, "num_random_init": 1, "loss": "ce",
        "l1_step": "pixel",
    }  # fmt: skip
    assert Pgd.from_text({"eps": "0.4"}).settings["eps_step"] == 0.1


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
        ("pgd", {"loss": "targeted-dlr"}, "loss must be one of ce, margin, dlr"),
        ("fgsm", {"l1_step": "all"}, "l1_step must be pixel or spread"),
        ("apgd", {"norm": "1"}, "norm must be one of inf, 2"),
        ("apgd-t", {"targets": "0"}, "targets must be 1 or more"),
        ("cw", {"norm": "inf"}, "norm must be one of 2"),
        ("zoo", {"variable_h": "0"}, "variable_h must be a positive number"),
        ("hopskipjump", {"max_eval": "10"}, "max_eval must be at least init_eval"),
        ("noise", {"draws": "0"}, "draws must be 1 or more"),
        ("boundary", {"delta": "0"}, "delta = 0.0"),
        ("boundary", {"step": "3/2"}, "step = 1.5"),
        ("boundary", {"init_size": "0"}, "init_size = 0"),
        ("boundary", {"init_size": "50", "max_queries": "50"}, "more than init_size, 50"),  # none is left for the walk
        ("hopskipjump", {"max_queries": "100"}, "more than init_size, 100"),
        ("boundary", {"max_iter": "0"}, "max_iter must be 1 or more"),
    ],
)
def test_impossible_settings(attack: str, settings: dict[str, str], message: str) -> None:
    with pytest.raises(StqError, match=message) as caught:
        get_attack(attack).from_text(settings)
    assert f"attack {attack}" in str(caught.value)


def test_unknown_attack_names_the_known_ones() -> None:
    with pytest.raises(StqError, match="fgsm, pgd, pgd-full, apgd, apgd-t, square"):
        get_attack("deepfool")


def test_titles() -> None:
    assert [attack_title(name) for name in ("fgsm", "square", "clean", "mine")] == [
        "FGSM",
        "Square",
        "clean",
        "mine",
    ]


def test_a_sample_draws_the_same_whatever_samples_are_beside_it() -> None:
    def one(generator: np.random.Generator) -> object:
        return generator.random(3)

    whole, part = Streams(5, range(4)), Streams(5, [2])
    drawn = whole.draw(np.arange(4), one)
    np.testing.assert_array_equal(part.draw(np.arange(1), one)[0], drawn[2])
    assert len(np.unique(drawn)) == 12
    assert (Streams(6, range(4)).draw(np.arange(4), one) != drawn).all()
