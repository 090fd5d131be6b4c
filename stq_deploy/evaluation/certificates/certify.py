"""Certifies one network: families enumerated, bounds, smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.certificates.classify import check_classes, classifier, near_classifier
from stq_deploy.evaluation.certificates.families import Family, parse_family
from stq_deploy.evaluation.certificates.linf import parse_linf, prove_linf
from stq_deploy.evaluation.certificates.nearby import Nearby
from stq_deploy.evaluation.certificates.prove import ClassifyNear, ClassifyPictures, prove
from stq_deploy.evaluation.certificates.smoothing import Settings, smooth
from stq_deploy.evaluation.scores import Classes
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.program import Program

EXECUTORS = {"host": "host-cortex-m7", "numpy": "numpy"}
"""Names of executors for members and noisy pictures, as in `open_executor`."""


class Claim(Protocol):
    """A certificate of any kind; as text a line for people."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Questions:
    """The certificates to compute.

    Attributes:
        families: names as given, with the levels of a bound or the family to enumerate.
        smoothing: settings, one after the other.
    """

    families: dict[str, int | Family]
    smoothing: tuple[Settings, ...] = ()

    @classmethod
    def parse(cls, families: Sequence[str], smoothing: Sequence[Settings] = ()) -> Questions:
        """Raises StqError on a text that is not a family."""
        parsed: dict[str, int | Family] = {}
        for text in families:
            eps = parse_linf(text)
            parsed[text] = parse_family(text) if eps is None else eps
        return cls(parsed, tuple(smoothing))


@dataclass
class Certifier:
    """A program with the samples that are certified.

    Args:
        program: what is certified.
        executor: key of `EXECUTORS`; it is opened when it is first needed.
        x: (N, H, W, C) pictures.
        y: (N,) true classes.
        source: of the samples, for messages.
    """

    program: Program
    scoring: Scoring
    x: npt.NDArray[np.uint8]
    y: Classes
    executor: str = "host"
    source: str = ""

    def __post_init__(self) -> None:
        check_classes(self.scoring, self.source)
        self._open = ExitStack()

    def __enter__(self) -> Certifier:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @cached_property
    def _classify(self) -> ClassifyPictures:
        self._check_answers_alike()
        opened = self._open.enter_context(open_executor(EXECUTORS[self.executor], self.program))
        return classifier(lambda levels: opened.run(levels)[0], self.program.network, self.scoring)

    @cached_property
    def _near(self) -> ClassifyNear:
        self._check_answers_alike()
        return near_classifier(Nearby(self.program.network), self.scoring)

    def _check_answers_alike(self) -> None:
        if self.program.network.has_noise:
            raise StqError(
                "the network draws fresh noise, so no single answer to a picture can be certified",
                where=self.program.network.input,
                next="certify the network without `--input-noise`, where `--smoothing SIGMA` adds the noise; or ask "
                "for `linf:N`, whose bounds hold for every draw",
            )

    def answer(self, questions: Questions, progress: Progress = silent) -> tuple[list[Claim], list[Claim]]:
        """Certificates of the families, then of smoothing, in their order.

        Raises:
            StqError: the executor cannot be had, or a family does not suit the pictures.
        """
        families = [self._family(text, family, progress) for text, family in questions.families.items()]
        return families, [self._smoothing(settings, progress) for settings in questions.smoothing]

    def _family(self, text: str, family: int | Family, progress: Progress) -> Claim:
        if isinstance(family, int):
            return prove_linf(text, family, self.program.network, self.scoring, self.x, self.y, progress)
        near = self._near if family.local else None
        return prove(text, family, self.x, self.y, self._classify, progress, near=near)

    def _smoothing(self, settings: Settings, progress: Progress) -> Claim:
        return smooth(settings, self.x, self.y, self.scoring.classes, self._classify, progress)
