"""The integer network as the judge of attacked samples."""

from __future__ import annotations

from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.executors import Executor
from stq_deploy.network.output import Task
from stq_deploy.research.attacks.craft import Judge


def judge_of(executor: Executor) -> Judge:
    """The classes that an executor's network gives, of several classes or of one unit with a sigmoid."""
    network = executor.program.network
    task = Task.CLASSES if network.output_format.channels > 1 else Task.BINARY
    scoring = scoring_of(network, None, Stated(task))
    return lambda levels: scoring.answers_of_levels(executor.run(levels)[0])
