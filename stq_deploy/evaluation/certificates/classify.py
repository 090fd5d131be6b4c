"""Classes of pictures by the integer network: by an executor, or near one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.certificates.families import Picture
from stq_deploy.evaluation.certificates.nearby import Nearby
from stq_deploy.evaluation.certificates.prove import ClassifyNear, ClassifyPictures
from stq_deploy.evaluation.scores import Classes
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.output import Task

RunLevels = Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]
"""Input levels (N, *input shape) -> logit levels."""


def check_classes(scoring: Scoring, source: str) -> None:
    """Raises StqError unless the network gives one class a picture."""
    if scoring.task not in (Task.CLASSES, Task.BINARY):
        raise StqError(
            f"the network's output is read as {scoring.task}, and certificates are of classes",
            where=source,
            next="certify a network of classes",
        )


def classifier(run: RunLevels, network: Network, scoring: Scoring) -> ClassifyPictures:
    """The network on an executor: `run` is the executor's."""

    def classify(x: npt.NDArray[np.uint8]) -> Classes:
        return np.asarray(scoring.answers_of_levels(run(quantize_input(x, network.input_format))), np.int64)

    return classify


def near_classifier(nearby: Nearby, scoring: Scoring) -> ClassifyNear:
    """The network by incremental recomputation."""
    format = nearby.network.input_format

    def near(picture: Picture) -> ClassifyPictures:
        return classifier(nearby.to(quantize_input(picture[None], format)[0]).logits, nearby.network, scoring)

    return near
