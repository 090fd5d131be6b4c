"""The integer network as the judge of attacked samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.task import scoring_of, stated_classes
from stq_deploy.executors import Executor
from stq_deploy.research.attacks.craft import JudgeLevels


def judge_of(executor: Executor, threshold: float | None = None) -> JudgeLevels:
    """The classes that an executor's network gives, of several classes or of one unit with a sigmoid.

    Args:
        threshold: the user's, of one unit; None: the network's own.

    Raises:
        StqError: the threshold does not fit the output.
    """
    network = executor.program.network
    scoring = scoring_of(network, None, stated_classes(network.output_format, threshold))

    def judge(levels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        return np.asarray(scoring.answers_of_levels(executor.run(levels)[0]), np.int64)

    return judge
