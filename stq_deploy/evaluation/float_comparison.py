"""Compares the integer network with the QKeras model in float32, as TensorFlow or NumPy computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.float_model_file import FloatModelFile
from stq_deploy.evaluation.inputs import Inputs
from stq_deploy.evaluation.predictions import Predictions, PredictionTally
from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Batch
from stq_deploy.network.reference import run_layers

BATCH = 32

EXPLANATION = (
    "The integer network equals the model in exact arithmetic, except where `convert` reports rounding to fixed "
    "point. The float model computes in float32, so an activation within its error of a rounding step may fall on the "
    "other side (rounding), and what follows with it (inherited)."
)

Levels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FloatLayer:
    """A layer whose output the Keras model also has, and the number of its differing activations.

    Attributes:
        rounding: with the Keras model's own inputs, the integer layer gives the neighbouring level.
        inherited: with these inputs it agrees, so the difference came with its own inputs.
        unexplained: neither; our mistake, or a layer between that is rounded to fixed point.
        total: number of activations.
    """

    name: str
    keras_layer: str
    rounding: int
    inherited: int
    unexplained: int
    total: int

    @property
    def differing(self) -> int:
        """All activations that differ."""
        return self.rounding + self.inherited + self.unexplained


@dataclass(frozen=True)
class FloatComparison:
    """The differences between the integer network and the float model.

    Attributes:
        samples: how many were compared.
        layers: in the order they run.
        predictions: how the answers differ from the float model's on the samples as they are.
        on_levels: the same, where the float model gets the real values of the input levels. A model that quantizes its
            input itself gets the samples in both cases, so the two are equal.
    """

    samples: int
    layers: tuple[FloatLayer, ...]
    predictions: Predictions
    on_levels: Predictions

    def total(self, what: str) -> int:
        """Sum over all layers of one of `FloatLayer`'s counts."""
        return sum(getattr(layer, what) for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        kinds = ("rounding", "inherited", "unexplained")
        return {
            "samples": self.samples,
            "differing_activations": self.total("differing"),
            **{kind: self.total(kind) for kind in kinds},
            "activations": self.total("total"),
            **self.predictions.to_json(),
            "differing_predictions_after_input_quantization": self.on_levels.differing,
            "rms_output_difference_after_input_quantization": self.on_levels.rms,
            "layers": [
                {"name": x.name, "differing": x.differing, "activations": x.total}
                | {kind: getattr(x, kind) for kind in kinds}
                for x in self.layers
            ],
            "explanation": EXPLANATION,
        }


def compare_with_float(
    model: FloatModelFile, network: Network, inputs: Inputs, stated: Stated | None = None
) -> FloatComparison:
    """Run both on the same samples, count the differences, and classify their causes.

    A float model without an input quantizer of its own gets the levels' real values, layer by layer. Layers whose
    output the float model does not give are not compared.

    Raises:
        StqError: the model is not the one the network was converted from (a layer is missing).
    """
    pairs = network.metadata.keras_outputs or {}
    tensors = {op.name: op.output for op in network.ops if op.output not in network.outputs}
    if network.input_domain is None:  # the model's own quantizer makes the levels, which Keras may round otherwise
        tensors = {network.input: network.input} | tensors
    compared = [name for name in tensors if name in pairs and model.gives(pairs[name])]
    counts = {name: np.zeros(3, np.int64) for name in compared}
    scoring = scoring_of(network, None, stated)
    tally, on_levels = PredictionTally(scoring), PredictionTally(scoring)
    for start in range(0, len(inputs.levels), BATCH):
        part, values = inputs.levels[start : start + BATCH], inputs.values[start : start + BATCH]
        seen = values if network.input_domain is None else network.input_format.values(part)
        run = list(run_layers(network, part))
        integer = {network.input: part} | {op.name: output for op, output in run}
        reals = model.layer_outputs(seen, [pairs[name] for name in compared])
        keras = {
            name: _levels(real, network.tensors[tensors[name]]) for name, real in zip(compared, reals, strict=True)
        }
        for name, own in _layer_by_layer(network, part, keras).items():
            differs = integer[name] != keras[name]
            steps = np.abs(own - keras[name]) // _distance(own, keras[name])
            counts[name] += [int((differs & kind).sum()) for kind in (steps == 1, steps == 0, steps > 1)]
        outputs = {network.input: part} | {op.output: output for op, output in run}
        own_answers = scoring.answers_of_levels(outputs[network.outputs[0]])
        tally.add(own_answers, model.answers(scoring, values))
        on_levels.add(own_answers, model.answers(scoring, seen))
    layers = tuple(
        FloatLayer(name, pairs[name], rounding, inherited, unexplained, total)
        for name in compared
        for rounding, inherited, unexplained in [counts[name].tolist()]
        for total in [network.tensors[tensors[name]].elements * len(inputs.levels)]
    )
    return FloatComparison(len(inputs.levels), layers, tally.result, on_levels.result)


def _distance(own: Batch, keras: Batch) -> int:
    """Distance of neighbouring levels: 2 for a sign, which gives only -1 and 1, else 1."""
    return 2 if np.isin(own, (-1, 1)).all() and np.isin(keras, (-1, 1)).all() else 1


def _levels(real: npt.NDArray[np.float32], spec: TensorType) -> Batch:
    """The levels of Keras's values, int64 (N, *shape)."""
    levels = np.rint(real.astype(np.float64) / spec.scale) + spec.zero_point
    return levels.reshape(len(real), *spec.shape).astype(np.int64)


def _layer_by_layer(network: Network, levels: Levels, keras: dict[str, Batch]) -> dict[str, Batch]:
    """Output of each layer in `keras`, every such layer before it having given Keras's levels instead of its own."""
    values: dict[str, Batch] = {network.input: levels.astype(np.int64)}
    own = {}
    if network.input in keras:
        spec = network.input_type
        own[network.input] = values[network.input]
        values[network.input] = np.clip(keras[network.input], spec.minimum, spec.maximum)
    for op in network.ops:
        output = network.tensors[op.output]
        result = op.run([values[name] for name in op.inputs], network.input_types(op), output)
        if op.name in keras:
            own[op.name] = result
            # A level outside the range would index a table beyond its end.
            result = np.clip(keras[op.name], output.minimum, output.maximum)
        values[op.output] = result
    return own
