"""The interface between attack and model: logits for samples, and gradients where the model has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.research.attacks.grid import Grid, Samples
from stq_deploy.research.attacks.streams import Index

Labels = npt.NDArray[np.int64]
"""(N,) class numbers."""
Logits = npt.NDArray[np.floating[Any]]
"""(N, K): the largest one is the class; of equal ones the lowest index. The scale is free."""


class Oracle(ABC):
    """A model that answers samples with logits, as attacks from scores or decisions need it.

    Attributes:
        classes: how many, K. A model of one output unit has two.
        shape: of a sample.
        grid: values that its samples are stored in.
    """

    classes: int
    shape: tuple[int, ...]
    grid: Grid

    def of(self, samples: Index) -> Oracle:
        """This oracle for questions about these samples (M,) of its batch, in this order.

        Most oracles answer alike whatever sample a question belongs to. One that draws noise has a stream for each.
        """
        return self

    @abstractmethod
    def logits(self, x: Samples) -> Logits:
        """Logits (N, K) of samples (N, *shape)."""

    def predict(self, x: Samples) -> Labels:
        """Predicted classes (N,); of equal logits the lowest index."""
        return np.asarray(np.argmax(self.logits(x), axis=1), np.int64)

    def gradient(
        self, x: Samples, y: Labels, loss: str, targets: Labels | None = None
    ) -> tuple[Logits, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Logits (N, K), a loss (N,) and its gradient by the samples (N, *shape), from an oracle with gradients.

        Args:
            loss: key of `losses.LOSSES`.
            targets: (N,) classes to move to, where the loss has one.

        Raises:
            StqError: this oracle gives only logits.
        """
        refuse_gradients()


def refuse_gradients() -> NoReturn:
    """Refuse an attack that needs more than the oracle gives. Raises StqError."""
    raise StqError(
        "the attack needs gradients, and the network under attack gives scores alone",
        cause="an integer network on a board or as C has no gradients",
        next="choose square, boundary or hopskipjump; or attack the Keras model",
    )
