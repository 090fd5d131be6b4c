"""What a sample file says about the attack that made it, and about the defense that the attack met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stq_deploy.research.attacks.base import AttackSetting
from stq_deploy.research.attacks.defence import RandomNoise


@dataclass(frozen=True)
class AttackRecord:
    """An attack on the samples of a file.

    Attributes:
        name: of the attack.
        settings: every setting by name.
        threat_model: what the attacker may do, in words.
        unit: of the budget; None for an attack on stored pixels by a board.
        largest_change: norm -> largest change of a stored sample, in that unit; None where it was not measured.
    """

    name: str
    settings: Mapping[str, AttackSetting]
    threat_model: str
    unit: str | None = None
    largest_change: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry `attack` of a sample file's metadata."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class DefenceRecord:
    """How many samples each model gets right under each draw of fresh noise.

    Attributes:
        defence: the noise.
        noise_seed: of the draws.
        correct: "float" or "integer" -> "clean" or "attacked" -> the count of each draw.
    """

    defence: RandomNoise
    noise_seed: int
    correct: Mapping[str, Mapping[str, list[int]]]

    def to_json(self) -> dict[str, Any]:
        """The entry `defence` of a sample file's metadata."""
        return self.defence.to_json() | {"noise_seed": self.noise_seed, "correct": self.correct}
