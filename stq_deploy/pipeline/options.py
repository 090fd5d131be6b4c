"""Options of the pipeline: how to convert, and which rewrites to make."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.frontend.fixed_types import StatedTypes
from stq_deploy.lowering.input_domain import PIXEL_BITS


@dataclass(frozen=True)
class PostTraining:
    """How to quantize a floating-point model: weights to int8, activations to ranges seen on samples.

    Attributes:
        samples: at most `steps.MAXIMUM_CALIBRATION` of them are used, spread evenly, because they may be sorted by
            class.
        method: a key of `lowering.ranges.METHODS`.
    """

    samples: SampleSet
    method: str = "mse"


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
