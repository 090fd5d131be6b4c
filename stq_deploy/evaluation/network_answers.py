"""A network's answers to samples, from any executor, compared with the reference where that is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import SamplesDone
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.scores import mismatches
from stq_deploy.evaluation.scoring import Answers, Scoring
from stq_deploy.executors import Executor
from stq_deploy.executors.executor import Outputs
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network.input_format import Levels
from stq_deploy.network.noise import sample_counters

Disturb = Callable[[Levels], Levels]
"""Noise on input levels."""


@dataclass(frozen=True, eq=False)
class NetworkAnswers:
    """What an executor answered.

    Attributes:
        answers: as `Scoring.answers_of_levels` reads the first output.
        outside: samples with a value beyond the levels of the model's own input quantizer.
        differing: numbers, ascending, of the samples of which an output level differs from the NumPy reference's; None
            if they were not compared.
    """

    answers: Answers
    outside: int
    differing: npt.NDArray[np.int64] | None


def network_answers(
    executor: Executor,
    samples: SampleSet,
    scoring: Scoring,
    *,
    compare: bool,
    disturb: Disturb | None = None,
    draw: int = 0,
    progress: SamplesDone | None = None,
) -> NetworkAnswers:
    """Run samples, and read the answers.

    Args:
        compare: run the NumPy reference, too, and compare every output level.
        disturb: noise on the input levels, the same for the reference.
        draw: number of the draw, 0 to 2^31 - 1, of noise that the network adds itself; sample i has the counter
            draw * 2^32 + i.

    Raises:
        StqError: unusable samples, or the executor fails.
    """
    inputs = read_inputs(samples, executor.program.network.input_format)
    levels = inputs.levels if disturb is None else disturb(inputs.levels)
    counters = sample_counters(len(levels), draw)
    found = executor.run(levels, progress, counters)
    differing = None
    if compare:
        reference = type(executor) is NumpyExecutor
        twin = NumpyExecutor(executor.program)
        differing = _differing(found, found if reference else twin.run(levels, counters=counters))
    return NetworkAnswers(scoring.answers_of_levels(found[0]), inputs.outside, differing)


def _differing(found: Outputs, reference: Outputs) -> npt.NDArray[np.int64]:
    pairs = zip(found, reference, strict=True)
    samples = [mismatches(one.reshape(len(one), -1), other.reshape(len(other), -1)) for one, other in pairs]
    return np.unique(np.concatenate(samples))
