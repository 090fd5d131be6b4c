"""Options of the pipeline: how to convert, and which rewrites to make."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.frontend.fixed_types import StatedTypes
from stq_deploy.lowering.after_training.method import SCHEMES, WeightMethod, usual_method
from stq_deploy.lowering.input_domain import PIXEL_BITS
from stq_deploy.network.noise import InputNoise


@dataclass(frozen=True)
class CostBudget:
    """The most that a network may take.

    Attributes:
        kind: "flash": bytes of weights and tables; "cycles": estimated cycles of one inference on a Cortex-M7.
        limit: the most of them.
    """

    kind: Literal["flash", "cycles"]
    limit: int


def budget_of(flash: int | None, cycles: int | None) -> CostBudget | None:
    """The budget that is stated, if one is.

    Raises:
        StqError: both are, or one is not positive.
    """
    if flash is not None and cycles is not None:
        raise StqError("a choice of bits keeps one budget: of flash, or of cycles", next="give one of the two")
    limit = cycles if flash is None else flash
    if limit is None:
        return None
    if limit < 1:
        raise StqError(f"a budget of {limit} is not possible", next="give a positive number")
    return CostBudget("cycles" if flash is None else "flash", limit)


@dataclass(frozen=True)
class PostTraining:
    """How to quantize a floating-point model: weights to few bits, activations to 8 in ranges seen on samples.

    Attributes:
        samples: at most `steps.MAXIMUM_CALIBRATION` of them are used, spread evenly, because they may be sorted by
            class.
        method: a key of `lowering.ranges.METHODS`.
        scheme: bits of the weights, one of `SCHEMES`.
        weights: what is done to the weights before and after they are rounded; None: what suits the scheme.
        budget: of the scheme "mixed", and of no other.

    Raises:
        StqError: a mixed scheme without a budget, or another one with a budget.
    """

    samples: SampleSet
    method: str = "mse"
    scheme: str = "int8"
    weights: WeightMethod | None = None
    budget: CostBudget | None = None

    @property
    def weight_method(self) -> WeightMethod:
        """What is done to the weights."""
        return self.weights or usual_method(self.scheme)

    def __str__(self) -> str:
        """What makes one quantization differ from another on the same samples; for records."""
        if self.scheme == "int8" and self.weight_method == usual_method(self.scheme):
            return self.method
        budget = "" if self.budget is None else f", {self.budget.kind} at most {self.budget.limit}"
        return f"{self.method}, {self.scheme}, {self.weight_method}{budget}"

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise no_such(f"there is no post-training quantization {self.scheme!r}", self.scheme, SCHEMES)
        if (self.scheme == "mixed") != (self.budget is not None):
            raise StqError(
                "post-training quantization to mixed bits takes one budget, and no other takes one",
                next="give mixed with --flash-budget or --cycle-budget (in Python flash_budget or cycle_budget), "
                "or int8 or int4",
            )


@dataclass(frozen=True)
class Conversion:
    """The options of a conversion.

    Attributes:
        input_range: the smallest and the largest value of the model's input; a pixel's 0 and 1 (as uint8: 0 and 255)
            mean these. None: a pixel is the model's value.
        post_training: None if everything that must be quantized has a quantizer.
        samples: their range is the input's where no quantizer of the model states it. Post-training quantization uses
            its calibration samples instead.
        input_bits: bits of the input's levels there, 8 to 16.
        input_step: real value of one such level; None: as fine as the bits allow.
        fixed: fixed-point types of layers without quantizers; None: such layers are refused, or quantized to int8
            after training.
    """

    input_range: tuple[float, float] | None = None
    post_training: PostTraining | None = None
    samples: SampleSet | None = None
    input_bits: int = PIXEL_BITS
    input_step: Fraction | None = None
    fixed: StatedTypes | None = None

    @property
    def calibration(self) -> SampleSet | None:
        """The samples that show the input's range."""
        return self.post_training.samples if self.post_training is not None else self.samples


@dataclass(frozen=True)
class Rewrites:
    """The rewrites to make of a network; the steps of the same names say what they do."""

    drop_unread_units: bool = False
    pack_activations: bool = False
    input_noise: InputNoise | None = None
