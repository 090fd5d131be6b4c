"""The integer network against the QKeras model as TensorFlow computes it: in float32, not exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.scores import classes_of, mismatches
from stq_deploy.network import Network
from stq_deploy.network.reference import run_layers

BATCH = 32

EXPLANATION = (
    "The integer network equals the QKeras model in exact arithmetic. TensorFlow accumulates in float32, so "
    "an activation within its error of a rounding tie may fall on the other side, and what follows with it."
)

Levels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FloatLayer:
    """A layer whose output the Keras model has too: how many of its activations differ, of how many."""

    name: str
    keras_layer: str
    differing: int
    total: int


@dataclass(frozen=True)
class FloatComparison:
    """What differs between the integer network and the float model.

    Attributes:
        samples: how many were compared.
        layers: in the order they run; a difference carries on to those after it.
        differing_predictions: samples whose class differs.
    """

    samples: int
    layers: tuple[FloatLayer, ...]
    differing_predictions: int

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "samples": self.samples,
            "differing_activations": sum(layer.differing for layer in self.layers),
            "activations": sum(layer.total for layer in self.layers),
            "differing_predictions": self.differing_predictions,
            "layers": [{"name": x.name, "differing": x.differing, "activations": x.total} for x in self.layers],
            "explanation": EXPLANATION,
        }


def compare_with_float(model: FloatModel, network: Network, levels: Levels) -> FloatComparison:
    """Run both on input levels (N, *input shape), and count what differs.

    Raises:
        StqError: the model is not the one the network was converted from (a layer is missing).
    """
    named = network.metadata.get("keras_outputs")
    pairs = named if isinstance(named, dict) else {}
    compared = [op for op in network.ops if op.name in pairs and op.output not in network.outputs]
    differing = dict.fromkeys((op.name for op in compared), 0)
    predictions = 0
    for start in range(0, len(levels), BATCH):
        part = levels[start : start + BATCH]
        integer = {op.name: output for op, output in run_layers(network, part)}
        keras = model.layer_outputs(part, network.input_type, [pairs[op.name] for op in compared])
        for op, real in zip(compared, keras, strict=True):
            spec = network.tensors[op.output]
            expected = np.rint(real.astype(np.float64) / spec.scale) + spec.zero_point
            differing[op.name] += int((expected.reshape(integer[op.name].shape) != integer[op.name]).sum())
        logits = next(integer[op.name] for op in network.ops if op.output == network.outputs[0])
        predictions += len(mismatches(classes_of(logits), model.classes(part, network.input_type)))
    layers = tuple(
        FloatLayer(op.name, pairs[op.name], differing[op.name], network.tensors[op.output].elements * len(levels))
        for op in compared
    )
    return FloatComparison(len(levels), layers, predictions)
