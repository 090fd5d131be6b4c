"""Which attacks there are."""

from __future__ import annotations

from stq_deploy.common.errors import no_such
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.apgd import Apgd, ApgdTargeted
from stq_deploy.research.attacks.boundary import Boundary
from stq_deploy.research.attacks.carlini_wagner import CarliniWagner
from stq_deploy.research.attacks.fgsm import Fgsm
from stq_deploy.research.attacks.full_pgd import FullPgd
from stq_deploy.research.attacks.hop_skip_jump import HopSkipJump
from stq_deploy.research.attacks.noise import Noise
from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.square import Square
from stq_deploy.research.attacks.transfer import Transfer
from stq_deploy.research.attacks.worst_case import WorstCase
from stq_deploy.research.attacks.zoo_attack import Zoo

_CLASSES: tuple[type[Attack], ...] = (
    Noise, Fgsm, Pgd, FullPgd, Apgd, ApgdTargeted, Square, Transfer, WorstCase, CarliniWagner, Zoo, Boundary,
    HopSkipJump,
)  # fmt: skip
ATTACKS: dict[str, type[Attack]] = {cls.name: cls for cls in _CLASSES}


def get_attack(name: str) -> type[Attack]:
    """The attack's class.

    Raises:
        StqError: no attack has this name.
    """
    if name not in ATTACKS:
        raise no_such(f"unknown attack {name!r}", name, ATTACKS)
    return ATTACKS[name]


def attack_title(name: str) -> str:
    """The attack's name for tables: "FGSM" for "fgsm"; names of other programs' attacks stay as they are."""
    return ATTACKS[name].title if name in ATTACKS else name
