"""Noise of each layer of a network quantized after training, against its float model.

`float_comparison` counts differing levels where the Keras model has the same quantizers. Here it has none, and nearly
all levels would differ. The useful figure is a layer's signal-to-quantization-noise ratio, 10 lg(signal power / error
power). Every further bit gives 6 dB. A layer far below its neighbours deserves attention.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stq_deploy.evaluation.float_model_file import FloatModelFile
from stq_deploy.evaluation.inputs import Inputs
from stq_deploy.evaluation.predictions import Predictions, PredictionTally
from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.network import Network
from stq_deploy.network.reference import run_layers

BATCH = 32

EXPLANATION = (
    "The network was quantized after training: it equals the fake-quantized model exactly, and the float model only "
    "about. Per layer: signal to quantization noise in dB, on calibration samples where no others are given."
)


@dataclass(frozen=True)
class NoiseLayer:
    """A layer whose output the Keras model has too.

    Attributes:
        decibels: its signal-to-noise ratio; None where the signal or the noise is zero.
    """

    name: str
    keras_layer: str
    decibels: float | None


@dataclass(frozen=True)
class QuantizationNoise:
    """The noise of quantization by layer, in the order they run; and the changes of the answers."""

    samples: int
    layers: tuple[NoiseLayer, ...]
    predictions: Predictions

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "samples": self.samples,
            "layers": [asdict(layer) for layer in self.layers],
            **self.predictions.to_json(),
            "explanation": EXPLANATION,
        }


def measure_noise(
    model: FloatModelFile, network: Network, inputs: Inputs, stated: Stated | None = None
) -> QuantizationNoise:
    """Run both on the same samples; the float model gets their values unchanged.

    Raises:
        StqError: the model is not the one the network was converted from (a layer is missing).
    """
    pairs = network.metadata.keras_outputs or {}
    compared = [
        op for op in network.ops
        if op.name in pairs and model.gives(pairs[op.name]) and op.output not in network.outputs
    ]  # fmt: skip
    powers = {op.name: np.zeros(2) for op in compared}
    scoring = scoring_of(network, None, stated)
    tally = PredictionTally(scoring)
    for start in range(0, len(inputs.levels), BATCH):
        part, values = inputs.levels[start : start + BATCH], inputs.values[start : start + BATCH]
        run = list(run_layers(network, part))
        integer = {op.name: output for op, output in run}
        reals = model.layer_outputs(values, [pairs[op.name] for op in compared])
        for op, real in zip(compared, reals, strict=True):
            spec = network.tensors[op.output]
            signal = real.astype(np.float64).reshape(integer[op.name].shape)
            noise = (integer[op.name].astype(np.int64) - spec.zero_point) * spec.scale - signal
            powers[op.name] += [float((signal**2).sum()), float((noise**2).sum())]
        outputs = {network.input: part} | {op.output: output for op, output in run}
        tally.add(scoring.answers_of_levels(outputs[network.outputs[0]]), model.answers(scoring, values))
    layers = tuple(NoiseLayer(op.name, pairs[op.name], _decibels(*powers[op.name].tolist())) for op in compared)
    return QuantizationNoise(len(inputs.levels), layers, tally.result)


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
