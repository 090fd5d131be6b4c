"""Square attack: random search with square patches, from scores alone (Andriushchenko et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.base import SCORES, Attack, Images
from stq_deploy.errors import StqError

_SMALLEST_L2 = 10
"""In L2, ART starts with 5x5 tiles, and divides by zero where a tile is smaller than 2 pixels."""


@dataclass(frozen=True)
class Square(Attack):
    """Random search.

    Settings: eps and norm; max_iter queries; p_init, the share of pixels the first patch covers; nb_restarts.
    """

    name: ClassVar[str] = "square"
    title: ClassVar[str] = "Square"
    access: ClassVar[str] = SCORES
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    max_iter: int = 1000
    p_init: float = 0.8
    nb_restarts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 < self.p_init < 1, "p_init", "between 0 and 1")
        self.require(1 <= self.nb_restarts <= 1_000, "nb_restarts", "1 to 1000")

    def perturb(self, classifier: Any, x: Images, y: npt.NDArray[np.int64]) -> Images:
        """See `Attack.perturb`."""
        from art.attacks.evasion import SquareAttack

        height, width = x.shape[1:3]
        if self.norm == "2" and min(height, width) < _SMALLEST_L2:
            raise StqError(
                f"L2 needs pictures of at least {_SMALLEST_L2}x{_SMALLEST_L2}, these have {height}x{width}",
                where=f"attack {self.name}",
                next="use the Linf norm",
            )
        if round(math.sqrt(self.p_init * height * width)) >= min(height, width):
            # ART draws the patch's place from an empty range then.
            raise StqError(
                f"a first patch of {self.p_init:g} of all pixels does not fit a picture of {height}x{width}",
                where=f"attack {self.name}",
                next="choose a smaller p_init",
            )
        attack = SquareAttack(
            classifier,
            norm=self.art_norm,
            max_iter=self.max_iter,
            eps=self.eps,
            p_init=self.p_init,
            nb_restarts=self.nb_restarts,
            batch_size=len(x),
            verbose=False,
        )
        adversarial: Images = attack.generate(x, y)
        return adversarial
