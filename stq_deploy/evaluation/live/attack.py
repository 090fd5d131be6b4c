"""A black-box attack on an integer network, and whether two of them were the same query by query."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.live.oracle import Exchange, NetworkOracle
from stq_deploy.network.input_format import unit_interval
from stq_deploy.research.attacks.abstract_attack import BLACK_BOX, Attack
from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.grid import PIXELS, Samples
from stq_deploy.research.attacks.oracle import Labels
from stq_deploy.research.attacks.registry import ATTACKS
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.streams import Streams

LIVE = tuple(name for name, attack in ATTACKS.items() if attack.access in BLACK_BOX)
"""Attacks that need only scores or decisions."""
_SHOWN = 5


@dataclass(frozen=True)
class Query:
    """One query: its sample, and the answer."""

    sample: int
    exchange: Exchange


@dataclass(frozen=True, eq=False)
class Attacked:
    """What a black-box attack found of N samples.

    Attributes:
        pictures: (N, *shape) uint8; the clean sample where nothing was found.
        right: (N,) whether the clean sample is classified right.
        broken: (N,) whether `pictures` is misclassified.
        queries: (N,) how many were asked of each sample, the first for the clean one.
        log: every query, in order.
    """

    pictures: npt.NDArray[np.uint8]
    right: npt.NDArray[np.bool_]
    broken: npt.NDArray[np.bool_]
    queries: npt.NDArray[np.int64]
    log: tuple[Query, ...]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over every query and answer, in order."""
        digest = hashlib.sha256()
        for query in self.log:
            digest.update(f"{query.sample} {query.exchange.asked} {query.exchange.answer}\n".encode())
        return digest.hexdigest()


def check_live(attack: Attack, samples: SampleSet) -> None:
    """Check that a board can answer this attack on these samples.

    Raises:
        StqError: it needs gradients, or the samples are features.
    """
    if attack.access not in BLACK_BOX:
        raise StqError(
            f"{attack.name} needs gradients, and a board gives scores alone",
            next=f"choose among {', '.join(LIVE)}",
        )
    if samples.holds_features:
        raise StqError(
            "the samples are features, and attacks on a board change pixels",
            next="attack features with `stq-deploy attack` without --live, and stream the file with `stq-deploy run`",
        )


def attack_network(oracle: NetworkOracle, attack: Attack, samples: SampleSet, seed: int) -> Attacked:
    """Run the attack.

    Its queries depend only on the samples, the settings, the seed and the answers.

    Args:
        samples: pictures with classes.

    Raises:
        StqError: the oracle fails.
    """
    x: Samples = PIXELS.nearest(unit_interval(samples.x))
    y: Labels = samples.classes()
    owners: list[int] = []
    search = Search(
        oracle,
        x,
        y,
        Budget.of_pixels(attack.norm, attack.eps),
        Streams(seed, range(len(x))),
        attack.smallest,
        lambda index, *_: owners.extend(int(i) for i in index),
    )
    right = ~search.broken
    attack.run(search)
    log = tuple(Query(owner, exchange) for owner, exchange in zip(owners, oracle.exchanges, strict=True))
    pictures = np.rint(search.found * 255).astype(np.uint8)
    return Attacked(pictures, right, search.broken, search.queries, log)


def check_equal(board: Attacked, twin: Attacked, where: str) -> None:
    """Check that the board and the host twin got the same queries and gave the same answers.

    Args:
        where: the board, for the message.

    Raises:
        StqError: they differ; the message names the first query that differs, and its sample.
    """
    for number, (ours, theirs) in enumerate(zip(board.log, twin.log, strict=False)):
        if ours != theirs:
            raise _unlike(number, ours, theirs, where)
    if len(board.log) != len(twin.log) or not np.array_equal(board.pictures, twin.pictures):
        samples = _named(np.flatnonzero(board.queries != twin.queries))
        raise StqError(
            f"the board was asked {len(board.log)} queries, its host twin {len(twin.log)}; samples {samples}",
            where=where,
            cause="the attack did not take the same way twice",
            next="report it with the model and the settings",
        )


def _unlike(number: int, ours: Query, theirs: Query, where: str) -> StqError:
    if ours.sample == theirs.sample and ours.exchange.asked == theirs.exchange.asked:
        return StqError(
            f"the board and its host twin answer query {number}, of sample {ours.sample}, differently",
            where=where,
            cause="the board computes something else than the certified network",
            next="find the layer with `stq-deploy verify`",
        )
    return StqError(
        f"query {number}, of sample {ours.sample}, is not the one that the host twin was asked",
        where=where,
        cause="the attack did not take the same way twice although all answers before were equal",
        next="report it with the model and the settings",
    )


def _named(samples: Sequence[Any] | npt.NDArray[Any]) -> str:
    shown = ", ".join(str(int(i)) for i in samples[:_SHOWN])
    return shown + (", ..." if len(samples) > _SHOWN else "")
