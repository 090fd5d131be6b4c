"""Fast gradient sign method: one step of length eps along the gradient's sign (Goodfellow et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.base import GRADIENTS, Attack, Images


@dataclass(frozen=True)
class Fgsm(Attack):
    """One step. Settings: eps (pixel units, 0..1) and norm."""

    name: ClassVar[str] = "fgsm"
    title: ClassVar[str] = "FGSM"
    access: ClassVar[str] = GRADIENTS

    def perturb(self, classifier: Any, x: Images, y: npt.NDArray[np.int64]) -> Images:
        """See `Attack.perturb`."""
        from art.attacks.evasion import FastGradientMethod

        attack = FastGradientMethod(classifier, norm=self.art_norm, eps=self.eps, batch_size=len(x))
        adversarial: Images = attack.generate(x, y)
        return adversarial
