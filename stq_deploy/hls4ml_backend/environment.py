"""Prepares hls4ml 1.3 to read a QKeras model where Keras 3 and NumPy 2 are installed."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install


def let_hls4ml_read_qkeras() -> None:
    """Answer `import keras` with tf_keras in this process, and give NumPy back its name `product`.

    - QKeras 0.9 needs Keras 2, whose package is now called tf_keras. hls4ml assumes that the model has the version of
      the package `keras`, and with Keras 3 installed reads a tf_keras model by the wrong parser.
    - hls4ml's FPGA backends call `numpy.product`, which NumPy 2 has dropped, to write scales of `auto_po2`.

    `convert_from_keras_model(..., backend="STM32")` calls this; call it yourself before `config_from_keras_model`, or
    before converting a QKeras model for another backend. Repeated calls are harmless.

    Raises:
        StqError: tf_keras is not installed.
    """
    try:
        # Not an import statement: the type checker knows no module that replaces another.
        sys.modules["keras"] = importlib.import_module("tf_keras")
    except ImportError as error:
        raise StqError(
            f"hls4ml needs tf_keras to read a QKeras model ({error})",
            next=f"install it: {how_to_install('train', 'hls4ml')}",
        ) from error
    if not hasattr(np, "product"):
        np.product = np.prod  # type: ignore[attr-defined]  # that it lacks the name is the reason
