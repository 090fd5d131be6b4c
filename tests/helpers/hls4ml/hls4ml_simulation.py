"""What hls4ml's C++ computes for a QKeras model: its Vitis backend, compiled by the C++ compiler of this computer."""

from __future__ import annotations

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.hls4ml_backend.environment import let_hls4ml_read_qkeras

DEFAULT_TYPE = "ap_fixed<48,24>"
"""For what hls4ml infers no type of: the input, results of scales and batch norms, unquantized offsets.

It infers all other types so that no sum can overflow or round. In our cases an input has 8 fractional bits, an
activation at most 8, and a kernel 7. A power-of-two scale or a batch norm's factor has at most 9. So 24 fractional bits
are enough for a sum times its factor. 24 bits before the point hold any sum of fewer than 2^15 products of numbers
below 2^8.
"""


@functools.cache
def _hls4ml() -> Any:
    let_hls4ml_read_qkeras()
    import hls4ml
    from hls4ml.model.flow import update_flow

    # It removes a QActivation("quantized_bits") without giving its rounding to the layer before it.
    update_flow("convert", remove_optimizers=["merge_linear_activation"])
    return hls4ml


def simulate(model: Any, samples: npt.NDArray[np.float64], folder: Path) -> npt.NDArray[np.float64]:
    """Outputs (N, outputs), exact, of a tf_keras model for float samples (N, *input shape).

    Args:
        folder: for the C++ project; the compiler's output is not shown.
    """
    hls4ml = _hls4ml()
    with contextlib.redirect_stdout(io.StringIO()):
        config = hls4ml.utils.config_from_keras_model(
            model, granularity="name", backend="Vitis", default_precision=DEFAULT_TYPE
        )
        simulated = hls4ml.converters.convert_from_keras_model(
            model, hls_config=config, backend="Vitis", io_type="io_parallel", output_dir=str(folder)
        )
        simulated.compile()
    outputs: npt.NDArray[np.float64] = simulated.predict(np.ascontiguousarray(samples))
    return outputs
