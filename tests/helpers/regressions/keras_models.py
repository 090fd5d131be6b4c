"""What Keras predicts of a model, and what the integer network of its file gives, on the same raw values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import Network
from stq_deploy.network.output import apply_functions, real_values
from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model

Reals = npt.NDArray[np.floating[Any]]


def keras_predictions(model: Any, x: Reals) -> Reals:
    """What `model.predict` gives, float64 (N, outputs), without the graph rewriting that moves activations off grid."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        predicted: Reals = model.predict(x, verbose=0).astype(np.float64)
    finally:  # other tests compare this process's results with another's, to the bit
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    return predicted.reshape(len(x), -1)


def network_predictions(network: Network, x: Reals) -> Reals:
    """The integer network's first output as real numbers, float64 (N, outputs), functions at the end applied."""
    name = network.outputs[0]
    form = network.input_format
    levels = run(network, form.levels(form.model_values(x, features=True)))
    values = apply_functions(real_values(levels, network.tensors[name]), network.metadata.output_functions[0])
    return values.reshape(len(x), -1)


def grid(shape: tuple[int, ...], samples: int = 64, seed: int = 1) -> npt.NDArray[np.float32]:
    """Random multiples of 1/128 in [-1, 1): levels of `quantized_bits(8,0,alpha=1)`."""
    integers = np.random.default_rng(seed).integers(-128, 128, (samples, *shape))
    return (integers / 128).astype(np.float32)


def saved(model: Any, path: Path) -> Path:
    """Have Keras write the model's file."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def check_equals_keras(model: Any, path: Path, x: Reals, tolerance: float = 0.0) -> Network:
    """The network of the model's file gives what Keras predicts, on every sample; returns it."""
    network = convert_model(saved(model, path))
    np.testing.assert_allclose(network_predictions(network, x), keras_predictions(model, x), rtol=0, atol=tolerance)
    return network
