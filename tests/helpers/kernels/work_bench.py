"""Runs a family's kernel on one layer of a network, on an emulated Cortex-M7: its output, and exact counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.predict import predict
from stq_deploy.network.ops import Convolve, DepthwiseConvolve
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.depthwise_lanes import DepthwiseLanesKernels
from stq_deploy.program.kernels.gather import GatherKernels
from stq_deploy.program.kernels.weighted import Weighted
from stq_deploy.program.weights import pack_weights
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import BareMetalProgram, Struct


def run_convolution(
    program: BareMetalProgram, candidate: Candidate, levels: npt.NDArray[np.integer[Any]], *, trace: bool = True
) -> tuple[npt.NDArray[Any], int, int]:
    """Run a convolution of a network.

    Args:
        levels: (height, width, channels) of the op's input.
        trace: whether cycles are estimated as well.

    Returns:
        The output levels, executed instructions, estimated cycles (0 without `trace`).
    """
    spec, work, op = candidate.spec, candidate.work, candidate.work.op
    assert isinstance(spec, Weighted)
    assert isinstance(op, Convolve | DepthwiseConvolve)
    (x,), y, layout = work.inputs, work.output, spec.weights(work)
    params = arguments.conv_params(
        -x.zero_point, layout.offset, op.window.stride, op.window.pad_before, op.window.dilation
    )
    if isinstance(spec, GatherKernels | DepthwiseLanesKernels):
        params = arguments.gather_params(params, (x.minimum, x.maximum))
    form: Any = spec.form(work) if isinstance(spec, GatherKernels) else op.requantize
    output, packed = np.zeros(y.shape, y.dtype), pack_weights(spec.rows(op), layout).reshape(-1)
    call = program.call(
        candidate.kernel.function,
        [
            arguments.context(np.zeros(spec.scratch_bytes(work) // 4, np.int32)),
            params,
            _requantize(form, y.dtype),
            arguments.dims(*x.shape),
            levels.astype(x.dtype),
            arguments.dims(*op.window.size, op.weights.shape[2] if isinstance(op, Convolve) else y.channels),
            packed if layout.packing == "fields" else arguments.coded_weights(packed, layout.gap_bits),
            arguments.dims(*y.shape),
            output,
        ],
        count=True,
        trace=trace,
    )
    assert call.result == 0
    cycles = round(predict(call.trace, core_model("cortex-m7")).cycles) if call.trace is not None else 0
    return output, call.instructions, cycles


def _requantize(form: Any, dtype: str) -> Struct:
    # `arguments` counts levels and entries itself.
    settings = {name: value for name, value in form.settings().items() if name not in ("levels", "table_stride")}
    return arguments.requantize(form.kind, dtype, **settings, **{a.field: a.values for a in form.arrays()})
