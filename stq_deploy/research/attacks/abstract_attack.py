"""The base of every attack: named, typed, bounded settings, and a search for a batch."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.research.attacks.budget import NORMS
from stq_deploy.research.attacks.search import Search

_SHORT_NUMBER = re.compile(r"[-+]?[0-9._/]{1,40}([eE][-+]?[0-9]{1,3})?")

GRADIENTS = (
    "white box: the model's gradients, straight through its quantizers and through the rounding to stored values; "
    "identity through its input quantizer"
)
SCORES = "black box: the model's scores"
DECISIONS = "black box: the model's decisions"
BLIND = "no access: nothing is asked of the model but whether it errs"
"""What an attacker sees of the model."""
BLACK_BOX = (SCORES, DECISIONS, BLIND)
"""Access that needs no gradients: a board can answer such an attack."""

AttackSetting = str | float
"""A setting of an attack; a float may also be an int."""

LINF_BUDGET = 8 / 255
L2_BUDGET = 0.5
"""The community's budgets on CIFAR-10 (RobustBench, AutoAttack)."""


@dataclass(frozen=True)
class Attack(ABC):
    """An attack with its settings. Each field is one setting; all of them are written into the sample file.

    Attributes:
        name: as on the command line and in sample files.
        title: for tables and reports.
        access: what the attacker sees of the model (`GRADIENTS`, `SCORES`, `DECISIONS`, `BLIND`).
        norms: names (keys of `NORMS`) of the norms it supports.
        smallest: whether it looks for the nearest adversarial sample, not for any within the budget.

    Raises:
        StqError: on construction, when a setting is out of its range.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    access: ClassVar[str]
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)
    smallest: ClassVar[bool] = False

    eps: float = LINF_BUDGET
    norm: str = "inf"

    def __post_init__(self) -> None:
        self.require(self.norm in self.norms, "norm", f"one of {', '.join(self.norms)}")
        self.require(0 < self.eps < math.inf, "eps", "a positive number; pixels run from 0 to 1")

    @abstractmethod
    def run(self, search: Search) -> None:
        """Look for adversarial versions of the search's samples, untargeted, until none is open or all steps are done.

        The search records what is found.

        Raises:
            StqError: the samples are not of a shape this attack works on.
        """

    @property
    def most_queries(self) -> int | None:
        """Most queries of a black-box attack per sample, without the clean one; None: not known before."""
        return None

    @property
    def settings(self) -> dict[str, AttackSetting]:
        """Every setting by name."""
        return dataclasses.asdict(self)

    def require(self, condition: bool, setting: str, allowed: str) -> None:
        """StqError naming the setting unless `condition`."""
        if not condition:
            raise StqError(
                f"{setting} = {getattr(self, setting)!r} is not possible",
                where=f"attack {self.name}",
                next=f"{setting} must be {allowed}",
            )

    @classmethod
    def from_text(cls, settings: Mapping[str, str]) -> Self:
        """The attack with settings given as text; numbers may be fractions (8/255). The rest keep defaults.

        Raises:
            StqError: an unknown setting, or a value of the wrong type or range.
        """
        hints = typing.get_type_hints(cls)
        known = [f.name for f in dataclasses.fields(cls)]
        values: dict[str, AttackSetting] = {}
        for name, text in settings.items():
            if name not in known:
                raise no_such(f"attack {cls.name}: there is no setting {name!r}", name, known)
            values[name] = _parse(text, hints[name], f"attack {cls.name}, {name}")
        return cls(**values)  # type: ignore[arg-type]  # each of its field's type


def _parse(text: str, kind: object, where: str) -> AttackSetting:
    if kind is str:
        return text
    try:
        if not _SHORT_NUMBER.fullmatch(text.strip()):
            raise ValueError  # Fraction would compute 10^1000000000, for hours
        number = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise StqError(f"{text!r} is not a number", where=where, next="write 20, 0.03 or 8/255, for example") from error
    if kind is int:
        if number.denominator != 1:
            raise StqError(f"{text!r} is not a whole number", where=where)
        return int(number)
    return float(number)
