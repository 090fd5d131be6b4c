"""HopSkipJump: the boundary's normal, estimated from decisions alone (Chen et al. 2020, arXiv:1904.02144)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stq_deploy.research.attacks.abstract_attack import L2_BUDGET
from stq_deploy.research.attacks.budget import NORMS
from stq_deploy.research.attacks.from_elsewhere import FromElsewhere


@dataclass(frozen=True)
class HopSkipJump(FromElsewhere):
    """Starts from a random picture of another class, and comes ever closer to the sample.

    A sample that it does not bring within eps stays unchanged.

    Settings:
        eps, norm: see `Attack`; the distance is made small in this norm.
        max_iter: rounds.
        max_eval, init_eval: most queries, and first number of queries, for a normal.
        init_size: random pictures to begin with.
        max_queries: most queries per sample; 0: no limit.
    """

    name: ClassVar[str] = "hopskipjump"
    title: ClassVar[str] = "HopSkipJump"
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    eps: float = L2_BUDGET
    norm: str = "2"
    max_iter: int = 10
    max_eval: int = 1000
    init_eval: int = 100
    init_size: int = 100
    max_queries: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.init_eval <= self.max_eval <= 1_000_000, "max_eval", "at least init_eval")

    def art_attack(self, classifier: Any) -> Any:
        from art.attacks.evasion import HopSkipJump as ArtHopSkipJump

        return ArtHopSkipJump(
            classifier,
            targeted=False,
            norm=NORMS[self.norm],
            max_iter=self.max_iter,
            max_eval=self.max_eval,
            init_eval=self.init_eval,
            init_size=self.init_size,
            verbose=False,
        )
