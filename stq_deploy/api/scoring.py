"""A network's score on labelled samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.api.conversion import task_named
from stq_deploy.api.network import IntegerNetwork
from stq_deploy.api.samples import inputs_of
from stq_deploy.api.verification import checked_names
from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.network_answers import network_answers
from stq_deploy.evaluation.scores import Score
from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.executors.open_executor import open_executor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `evaluate`.

    Attributes
    ----------
    on : str
        What ran the network.
    samples : int
        Number of samples.
    task : str
        How the output was read.
    score : Score
        The score; `str(score)` is one figure with its interval.
    confusion : ndarray of int64, shape (classes, classes), or None
        Counts; row: true class, column: answer. None where answers are not classes.
    mismatches : ndarray of int64, shape (M,)
        Numbers of the samples whose output levels differ from the NumPy reference.
    outside : int
        Samples with a value beyond the levels of the model's own input quantizer, which clips it, as in Keras.
    """

    on: str
    samples: int
    task: str
    score: Score
    confusion: npt.NDArray[np.int64] | None
    mismatches: npt.NDArray[np.int64]
    outside: int

    @property
    def figure(self) -> float | None:
        """The score's figure: for classes top-1 accuracy, 0..1. None where nothing was scored."""
        return self.score.figure

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the figure (Wilson's for accuracies); None where there is none."""
        return self.score.interval

    def __str__(self) -> str:
        differ = f"{len(self.mismatches)} differ from the reference"
        return f"{self.on}: {self.score.metric} {self.score}, {self.samples} samples, {differ}"


def evaluate(
    net: IntegerNetwork,
    x: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    on: str = "host",
    *,
    features: bool | None = None,
    task: str | None = None,
    threshold: float | None = None,
) -> Evaluation:
    """Score a network, and compare each sample's outputs with the NumPy reference's.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    x : array_like, shape (N, *input_shape)
        Samples, as for `IntegerNetwork.predict`.
    labels : array_like, shape (N,) or (N, ...), optional
        Class numbers from 0, a label for each output or place, or float targets of a regression.
    on : str
        As for `verify`, or `numpy`.
    features : bool, optional
        As for `IntegerNetwork.predict`.
    task : str, optional
        What the output is, where labels and shapes leave it open: a name of `stq-deploy evaluate --task`.
    threshold : float, optional
        The model's output above which the answer is yes.

    Raises
    ------
    StqError
        Unusable samples or labels, labels missing, an unknown name in `on`, or no compiler or emulator for it.
    """
    (name,) = checked_names([on], also=("numpy",))
    samples, _ = inputs_of(net.network, x, labels, features)
    scoring = scoring_of(net.network, samples, Stated(task_named(task), threshold))
    with open_executor(name, net.program) as executor:
        found = network_answers(executor, samples, scoring, compare=True)
    score = scoring.score(found.answers, samples)
    if score is None:
        raise StqError(f"a score of {scoring.task} needs labels", next="give labels, one for each sample")
    assert found.differing is not None  # compared
    return Evaluation(
        name, len(samples), scoring.description, score, scoring.confusion(found.answers, samples), found.differing,
        found.outside,
    )  # fmt: skip
