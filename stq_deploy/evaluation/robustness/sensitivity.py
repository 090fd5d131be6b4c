"""Adversarial noise sensitivity (ANS) by layer, and bits by layer from it, after QUANOS (Panda 2020).

One step of FGSM on the network gives adversarial samples. The sensitivity of a layer with activations a is the mean
over samples of |a(adversarial) - a(clean)| / |a(clean)|, in the 2-norm of all the layer's activations.

The paper's abstract (arXiv:2004.11233) calls ANS "the sensitivity of each layer's computation to adversarial noise".
The division by |a(clean)| is not verified. Public code of the same idea uses the numerator alone, which is recorded as
`change`. The paper's map from ANS to bits is not verified either: `bits_by_layer` is ours, recorded with each result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import Pixels
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.network.input_format import unit_interval
from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.grid import PIXELS
from stq_deploy.research.attacks.steps import direction
from stq_deploy.research.attacks.victim import Victim

WIDTHS = (1, 2, 4, 8)
"""Bits of a weight that layers can have."""
INITIAL_BITS = 16
FEWEST, MOST = 2, 8
"""Bits before they are snapped to `WIDTHS`."""
REPORTED_SAMPLES = 128
REPORTED_EPS = 8 / 255
"""What a robustness run measures beside its attacks."""
FUNCTION = (
    "clip(round(initial * (1 - ANS / largest ANS)), 2, 8), then the nearest of 1, 2, 4, 8, the smaller of two; "
    "the first and the last layer with a kernel keep the base scheme's bits, and so does the input"
)

_THROUGH = {
    "BatchNormalization", "Flatten", "Dropout", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Reshape",
    "QBatchNormalization",
}  # fmt: skip
"""Layers between a kernel and the activation that belongs to it."""
_ACTIVATIONS = {"QActivation", "Activation", "ReLU"}


@dataclass(frozen=True)
class SensitivePlace:
    """Where a sensitivity is measured.

    Attributes:
        layer: with a kernel, or an activation.
        kernel: whether it has a kernel.
        measured_at: the layer whose output is compared: of a kernel the activation that reads it, if there is one.
    """

    layer: str
    kernel: bool
    measured_at: str


@dataclass(frozen=True)
class Sensitivity:
    """One layer.

    Attributes:
        layer, kernel, measured_at: as in `SensitivePlace`.
        ans: mean over samples of the relative change; 0 / 0 counts as 0.
        change: mean over samples of the change's 2-norm.
        bits: proposed by `bits_by_layer`; None where the base scheme's stay.
    """

    layer: str
    kernel: bool
    measured_at: str
    ans: float
    change: float
    bits: int | None = None


def places(model: Any) -> list[SensitivePlace]:
    """The layers of a tf_keras Model whose bits a scheme can choose: kernels and activations, in their order.

    There are none in a model without kernels. The softmax at the end is left out, and what precedes the first kernel.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    with_kernel = [layer for layer in layers if any(len(weight.shape) > 1 for weight in layer.weights)]
    if not with_kernel:
        return []
    start = layers.index(with_kernel[0])
    found = []
    for layer in layers[start:]:
        if layer in with_kernel:
            found.append(SensitivePlace(layer.name, True, _activation_of(layer).name))
        elif type(layer).__name__ in _ACTIVATIONS and not _is_softmax(layer):
            found.append(SensitivePlace(layer.name, False, layer.name))
    return found


def _activation_of(layer: Any) -> Any:
    """The activation that alone reads this layer, through batch norm and pooling; without one, the layer itself."""
    at = layer
    while True:
        readers = [node.layer for node in at._outbound_nodes]
        if len(readers) != 1 or _is_softmax(readers[0]):
            return layer
        at = readers[0]
        if type(at).__name__ in _ACTIVATIONS:
            return at
        if type(at).__name__ not in _THROUGH:
            return layer


def _is_softmax(layer: Any) -> bool:
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return type(layer).__name__ == "Softmax" or (type(layer).__name__ == "Activation" and name == "softmax")


def sensitivities(
    found: Sequence[SensitivePlace],
    clean: Sequence[npt.NDArray[np.float32]],
    attacked: Sequence[npt.NDArray[np.float32]],
) -> list[Sensitivity]:
    """The figures of each place.

    Args:
        clean, attacked: by place, the activations (N, ...) of the same samples.
    """
    results = []
    for place, a, b in zip(found, clean, attacked, strict=True):
        flat = a.reshape(len(a), -1).astype(np.float64)
        change = np.linalg.norm(b.reshape(len(b), -1) - flat, axis=1)
        size = np.linalg.norm(flat, axis=1)
        relative = np.divide(change, size, out=np.where(change > 0, np.inf, 0.0), where=size > 0)
        finite = relative[np.isfinite(relative)]  # a sample whose activations were all 0 has no relative change
        ans = float(finite.mean()) if len(finite) else 0.0
        results.append(Sensitivity(place.layer, place.kernel, place.measured_at, ans, float(change.mean())))
    return results


def bits_by_layer(found: Sequence[Sensitivity], initial: int = INITIAL_BITS) -> list[Sensitivity]:
    """The same with bits by `FUNCTION`: the more sensitive, the fewer."""
    largest = max((one.ans for one in found), default=0.0)
    kernels = [one.layer for one in found if one.kernel]
    ends = {*kernels[:1], *kernels[-1:]}
    kept = {one.measured_at for one in found if one.layer in ends} | ends
    return [one if one.layer in kept else replace(one, bits=_bits(one.ans, largest, initial)) for one in found]


def _bits(ans: float, largest: float, initial: int) -> int:
    share = ans / largest if largest > 0 else 0.0
    wanted = min(max(round(initial * (1 - share)), FEWEST), MOST)
    return min(WIDTHS, key=lambda width: (abs(width - wanted), width))


def measure(
    model: FloatModel, x: Pixels, y: npt.NDArray[np.int64], eps: float, initial: int = INITIAL_BITS
) -> list[Sensitivity]:
    """Sensitivities of a model to FGSM on the cross-entropy, with the proposed bits.

    Every sample takes the whole step, also those that are misclassified already.

    Args:
        model: frozen by this.
        x: (N, *shape) pixels, uint8 or floats in [0, 1]; rounded to 8 bits.
        y: (N,) classes.
        eps: Linf budget of the one step, in parts of the pixels' range.
        initial: bits of a layer of sensitivity 0, before the clip.

    Raises:
        StqError: the samples have another shape, or the step is less than one level.
    """
    if not eps * 255 >= 1 - 1e-6:
        raise StqError(
            f"a step of {eps:g} is less than one level of 8 bits: no sample would change",
            where="--eps",
            next="choose 1/255 or more",
        )
    at, format = places(model.keras), model.input_format
    names = list(dict.fromkeys(place.measured_at for place in at))
    clean = PIXELS.nearest(unit_interval(x))
    values = format.model_values(clean)  # first: it checks the shape
    victim = Victim(model.keras, PIXELS, (format.low, format.high))
    _, _, gradient = victim.gradient(clean, y, "ce")
    budget = Budget.of_pixels("inf", eps)
    step = eps * direction(gradient, budget)
    moved = budget.store(budget.project(clean + step, clean, PIXELS), clean, PIXELS)
    before = dict(zip(names, model.layer_outputs(values, names), strict=True))
    after = dict(zip(names, model.layer_outputs(format.model_values(moved), names), strict=True))
    found = sensitivities(at, [before[one.measured_at] for one in at], [after[one.measured_at] for one in at])
    return bits_by_layer(found, initial)


def scheme_text(found: Sequence[Sensitivity], base: str, title: str) -> str:
    """A scheme file (`zoo.scheme_file`) with the proposed bits."""

    def table(name: str, kernel: bool) -> list[str]:
        rows = [f"{json.dumps(one.layer)} = {one.bits}" for one in found if one.kernel is kernel and one.bits]
        return ["", f"[{name}]", *rows]

    head = [f"# {FUNCTION}", f"title = {json.dumps(title)}", f"base = {json.dumps(base)}"]
    return "\n".join([*head, *table("weights", True), *table("activations", False)]) + "\n"
