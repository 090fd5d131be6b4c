"""Samples that are pictures, drawn into a page: as PNG in a data URI, each pixel large enough to be seen."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.summary import Comparison
from stq_deploy.network.output import Task

SHOWN = 6
"""Pictures of one kind: right ones, and wrong ones."""
_CHANNELS = (1, 3)
_SIDE = 96
"""Screen pixels of a picture's longer side, at least."""
_LARGEST_SIDE = 512
"""Pixels of the longer side; larger pictures would make the page too large."""


@dataclass(frozen=True)
class ShownSample:
    """A sample in the page.

    Attributes:
        number: its place in the sample file, from 0.
        image: data URI.
        caption: its class, and the board's answer. Untrusted text.
    """

    number: int
    image: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """A few samples under one heading."""

    title: str
    samples: tuple[ShownSample, ...]


def png_uri(picture: npt.NDArray[Any]) -> str:
    """A picture (H, W, 1 or 3), floats in [0, 1], as a data URI; small ones with whole factors larger."""
    from matplotlib.image import imsave

    rgb = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    factor = max(1, -(-_SIDE // max(picture.shape[:2])))
    large = np.kron(rgb, np.ones((factor, factor, 1)))
    stream = io.BytesIO()
    imsave(stream, np.rint(large * 255).astype(np.uint8), format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def sample_galleries(comparison: Comparison, class_names: list[str]) -> list[Gallery]:
    """The first samples that the board gets right and the first it gets wrong, where samples are pictures of classes.

    Without labels: the first samples. Empty where samples are not pictures, or an answer is not a single class.
    """
    samples, scoring = comparison.samples, comparison.scoring
    if samples.holds_features or samples.x.ndim != 4 or samples.x.shape[3] not in _CHANNELS:
        return []
    if max(samples.x.shape[1:3]) > _LARGEST_SIDE or scoring.task not in (Task.CLASSES, Task.BINARY):
        return []
    said, truth = comparison.board_answers, scoring.truth(samples)
    if truth is None:
        kinds = {"The first samples": np.arange(len(said))}
    else:
        kinds = {
            "Right on the board": np.flatnonzero(said == truth),
            "Wrong on the board": np.flatnonzero(said != truth),
        }

    def caption(number: int) -> str:
        answer = class_names[int(said[number])]
        if truth is None:
            return answer
        true = class_names[int(truth[number])]
        return true if answer == true and said[number] == truth[number] else f"{true}, taken for {answer}"

    scale = 255.0 if samples.x.dtype == np.uint8 else 1.0
    return [
        Gallery(
            title,
            tuple(
                ShownSample(int(number), png_uri(samples.x[number].astype(np.float64) / scale), caption(int(number)))
                for number in numbers[:SHOWN]
            ),
        )
        for title, numbers in kinds.items()
        if len(numbers)
    ]
