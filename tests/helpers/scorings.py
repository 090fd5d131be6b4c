"""Readings of outputs for tests that have no network."""

from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.evaluation.task import Stated, choose
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import LastStep, OutputFormat, Task
from stq_deploy.network.tensor import TensorType


def scoring(
    shape: tuple[int, ...],
    task: Task | None = None,
    *,
    last: LastStep = LastStep.LINEAR,
    input_shape: tuple[int, ...] = (1, 1, 1),
    **output: object,
) -> Scoring:
    """The reading of int32 outputs of this shape, each level one unit."""
    spec = TensorType(shape, "int32", -(2**31), 2**31 - 1, 1.0)
    pixels = InputFormat(TensorType(input_shape, "int8", -128, 127, 1 / 255, -128))
    format = OutputFormat(shape, last, **output)  # type: ignore[arg-type]
    return choose(format, pixels, spec, None, Stated(task))
