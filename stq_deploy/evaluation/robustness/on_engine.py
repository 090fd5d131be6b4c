"""The shards of several robustness runs on one engine: a sweep over networks and samples, on a Ray cluster too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.engines import Engine
from stq_deploy.evaluation.robustness.run import Job, attack_part, missing_parts


@dataclass(frozen=True)
class _EngineTask:
    """What an engine does with a number, perhaps in another process: attack that shard, and keep it in its folder."""

    shards: tuple[tuple[Job, npt.NDArray[np.int64]], ...]

    def __call__(self, number: int) -> int:
        job, numbers = self.shards[number]
        attack_part(job, numbers)
        return number


def attack_on_engine(jobs: Sequence[Job], engine: Engine, progress: Progress = silent) -> None:
    """Attack every shard of all jobs that no earlier run has attacked; `run` then finds all of them.

    Raises:
        StqError: the engine is not installed, or an attack fails.
    """
    shards = tuple((job, numbers) for job in jobs for numbers in missing_parts(job))
    title = f"attacking shards of {len(jobs)} networks"
    progress(title, 0, len(shards))
    if not shards:
        return
    for done, _ in enumerate(engine(_EngineTask(shards), range(len(shards))), start=1):
        progress(title, done, len(shards))
