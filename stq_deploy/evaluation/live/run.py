"""A whole live attack: on the boards, then on the host twin, then a comparison of both."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy import __version__
from stq_deploy.common.progress import Progress, silent
from stq_deploy.datasets.sample_metadata import AttackRecord
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.live.attack import Attacked, attack_network, check_equal, check_live
from stq_deploy.evaluation.live.oracle import Levels, NetworkOracle
from stq_deploy.evaluation.live.queries import MOST_QUERIES, BoardRun
from stq_deploy.evaluation.results_file import ResultsFile, RunIdentity
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.executors.executor import Executor
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.craft import versions


@dataclass(frozen=True, eq=False)
class LiveAttack:
    """A black-box attack that a board answered.

    Attributes:
        attack: with its settings.
        seed: of all that was drawn.
        samples: what was attacked.
        attacked: the result, on board and host twin alike.
        board, model_hash, build_id: what answered.
        emulated: whether the board is an emulated one.
        boards: how many side by side.
        asked_now: queries that the boards answered in `seconds`; the rest an earlier run had asked.
        seconds: wall-clock time of the attack on the boards.
        twin_seconds: the same of the host twin.
    """

    attack: Attack
    seed: int
    samples: SampleSet
    attacked: Attacked
    board: str
    model_hash: str
    build_id: str
    emulated: bool
    boards: int
    asked_now: int
    seconds: float
    twin_seconds: float

    @property
    def clean(self) -> Accuracy:
        """Accuracy on the clean samples."""
        return Accuracy(int(self.attacked.right.sum()), len(self.samples))

    @property
    def left(self) -> Accuracy:
        """Accuracy after the attack."""
        return Accuracy(int((~self.attacked.broken).sum()), len(self.samples))

    @property
    def queries_per_second(self) -> float | None:
        """Queries per second of all boards together; None if this run asked nothing."""
        return self.asked_now / self.seconds if self.asked_now and self.seconds else None

    def sample_set(self) -> SampleSet:
        """What the attack ends with, as a sample file holds it."""
        attack = self.attack
        metadata = replace(
            self.samples.metadata.kept_by_attacks(),
            attack=AttackRecord(
                name=attack.name,
                settings=attack.settings,
                threat_model=(
                    f"untargeted; {attack.access}, asked of the board; stored samples change by at most "
                    f"{attack.eps:.6g} in the L{attack.norm} norm (sample values)"
                ),
            ),
            seed=self.seed,
            versions=versions(),
            live=self.to_json(),
        )
        return SampleSet(self.attacked.pictures, self.samples.y, metadata)

    def to_json(self) -> dict[str, Any]:
        """For --json and records."""
        rate = self.queries_per_second
        return {
            "attack": self.attack.name,
            "settings": self.attack.settings,
            "seed": self.seed,
            "samples": len(self.samples),
            "clean": self.clean.to_json(),
            "left": self.left.to_json(),
            "queries": len(self.attacked.log),
            "queries_by_sample": [int(n) for n in self.attacked.queries],
            "queries_equal_to_host_twin": len(self.attacked.log),
            "log_sha256": self.attacked.digest,
            "board": self.board,
            "emulated": self.emulated,
            "boards": self.boards,
            "model_hash": self.model_hash,
            "build_id": self.build_id,
            "queries_asked_now": self.asked_now,
            "seconds": round(self.seconds, 1),
            "queries_per_second": None if rate is None else round(rate, 2),
            "host_twin_seconds": round(self.twin_seconds, 1),
        }


def attack_live(
    executors: Sequence[LinkExecutor],
    samples: SampleSet,
    attack: Attack,
    folder: Path,
    *,
    seed: int = 0,
    twin: Executor | None = None,
    threshold: float | None = None,
    progress: Progress = silent,
) -> LiveAttack:
    """Attack the network on the boards; then its host twin with the same seed, and compare every query and answer.

    Args:
        executors: boards that all run one firmware.
        samples: pictures with classes.
        folder: of the file of queries; what is in it of the same attack is not asked again.
        twin: where the twin runs; by default the C that the board runs, on this computer.
        threshold: the user's, of a network of one unit; None: the network's own.

    Raises:
        StqError: the attack needs gradients, the samples are features, or a board or the link fails. Also if board and
            host twin differ; the message then names the query and the sample.
    """
    check_live(attack, samples)
    program, facts = executors[0].program, executors[0].session.facts
    network = program.network
    decided = _identity(samples, attack, seed, threshold)
    identity = RunIdentity(
        facts.board, facts.model_hash, facts.build_id, decided, network.output_type.elements
    )  # fmt: skip
    total = len(samples) * (1 + attack.most_queries) if attack.most_queries else 1
    title = f"{attack.title} on the board: queries"
    with ResultsFile(folder / f"queries-{attack.name}.jsonl", identity, MOST_QUERIES) as results:
        run = BoardRun(executors, results, lambda done: progress(title, min(done, total - 1), total))
        started = time.monotonic()
        board = attack_network(NetworkOracle(network, run, threshold), attack, samples, seed)
        seconds = time.monotonic() - started
        progress(title, total, total)
    started = time.monotonic()
    with twin or HostExecutor(program) as host:

        def ask_twin(levels: Levels, asked: list[str]) -> Levels:
            return host.run(levels)[0]

        again = attack_network(NetworkOracle(network, ask_twin, threshold), attack, samples, seed)
    check_equal(board, again, f"{attack.name} on {facts.board}")
    return LiveAttack(
        attack,
        seed,
        samples,
        board,
        facts.board,
        facts.model_hash,
        facts.build_id,
        executors[0].name == "emulated",
        len(executors),
        run.asked_now,
        seconds,
        time.monotonic() - started,
    )


def _identity(samples: SampleSet, attack: Attack, seed: int, threshold: float | None) -> str:
    """SHA-256 (hex) over all that decides an attack's first query, and with the answers every later one."""
    said = [samples.sha256(), attack.name, attack.settings, seed, __version__, np.__version__]
    said += [] if threshold is None else [threshold]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
