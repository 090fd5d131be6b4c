"""The values of an input that the Keras model does not quantize: from the call, or from its type in hls4ml."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from stq_deploy.datasets.samples import samples_of
from stq_deploy.hls4ml_backend.layer_types import stated_types
from stq_deploy.lowering.input_domain import MOST_BITS
from stq_deploy.pipeline import Conversion, PostTraining

FEWEST_BITS = 8


def conversions(graph: Any) -> Iterator[Conversion]:
    """The options to try, finest levels first: the input gets fewer bits where sums would exceed 32.

    Args:
        graph: hls4ml's ModelGraph; its configuration may hold `InputRange` or `InputPrecision`, else its input's type
            applies, and where `hls_config` leaves that open ("auto"), the model's default precision.
    """
    stated = graph.config.config.get("InputRange")
    given = graph.config.config.get("Calibrate")
    samples = None if given is None else samples_of(np.asarray(given, np.float32), features=True)
    fixed = stated_types(graph) if samples is None else None
    precision = None if stated is not None else _precision(graph)
    for bits in range(MOST_BITS, FEWEST_BITS - 1, -1):
        if samples is not None:
            yield Conversion(input_range=stated, input_bits=bits, post_training=PostTraining(samples))
        elif stated is not None:
            yield Conversion(input_range=stated, input_bits=bits, fixed=fixed)
        else:
            low, high, step = _fixed_point(precision, bits)
            yield Conversion(input_range=(float(low), float(high)), input_bits=bits, input_step=step, fixed=fixed)


def _precision(graph: Any) -> Any:
    """The input's type in hls4ml: one of its precision types."""
    precision = graph.config.config.get("InputPrecision") or graph.get_input_variables()[0].type.precision
    if not isinstance(precision, str) and not getattr(precision, "width", 0):  # "auto"
        precision = graph.config.model_precision.get("default", "fixed<16,6>")
    if isinstance(precision, str):
        precision = graph.config.backend.convert_precision_string(precision)
    return precision


def _fixed_point(precision: Any, bits: int) -> tuple[Fraction, Fraction, Fraction]:
    """(smallest value, largest value, step) of `fixed<width, integer>`, the step widened to levels of `bits` bits."""
    width, integer = int(getattr(precision, "width", 16)), int(getattr(precision, "integer", 6))
    signed = bool(getattr(precision, "signed", True))
    low = -(Fraction(2) ** (integer - 1)) if signed else Fraction(0)
    end = Fraction(2) ** (integer - signed)
    # One bit is the sign's in any case: the kernels multiply signed numbers of 16 bits.
    step = end / 2 ** min(width - signed, bits - 1)
    return low, end - step, step
