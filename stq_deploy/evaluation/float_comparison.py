"""The integer network against the QKeras model as TensorFlow computes it: in float32, not exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.scores import classes_of, mismatches
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Batch
from stq_deploy.network.reference import run_layers

BATCH = 32

EXPLANATION = (
    "The integer network equals the QKeras model in exact arithmetic, but for what `convert` says is rounded to fixed "
    "point. TensorFlow computes in float32, so an activation within its error of a rounding step may fall on the other "
    "side (rounding), and what follows with it (inherited)."
)

Levels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FloatLayer:
    """A layer whose output the Keras model has too, and how many of its activations differ.

    Attributes:
        rounding: fed with the Keras model's own inputs, the integer layer gives the neighbouring level.
        inherited: fed so, it agrees: the difference came with the inputs.
        unexplained: neither; a mistake of ours, or a layer between that is rounded to fixed point.
        total: of how many activations.
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
    """What differs between the integer network and the float model.

    Attributes:
        samples: how many were compared.
        layers: in the order they run.
        differing_predictions: samples whose class differs.
    """

    samples: int
    layers: tuple[FloatLayer, ...]
    differing_predictions: int

    def total(self, what: str) -> int:
        """Sum over all layers of one of `FloatLayer`'s counts."""
        return sum(getattr(layer, what) for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        kinds = ("rounding", "inherited", "unexplained")
        return {
            "samples": self.samples,
            "differing_activations": self.total("differing"),
            **{kind: self.total(kind) for kind in kinds},
            "activations": self.total("total"),
            "differing_predictions": self.differing_predictions,
            "layers": [
                {"name": x.name, "differing": x.differing, "activations": x.total}
                | {kind: getattr(x, kind) for kind in kinds}
                for x in self.layers
            ],
            "explanation": EXPLANATION,
        }


def compare_with_float(model: FloatModel, network: Network, levels: Levels) -> FloatComparison:
    """Run both on input levels (N, *input shape), count what differs, and tell how each difference arose.

    Layers within a nested model are not compared, as Keras does not give their outputs.

    Raises:
        StqError: the model is not the one the network was converted from (a layer is missing).
    """
    named = network.metadata.get("keras_outputs")
    pairs = named if isinstance(named, dict) else {}
    compared = [op for op in network.ops if "/" not in pairs.get(op.name, "/") and op.output not in network.outputs]
    counts = {op.name: np.zeros(3, np.int64) for op in compared}
    predictions = 0
    for start in range(0, len(levels), BATCH):
        part = levels[start : start + BATCH]
        integer = {op.name: output for op, output in run_layers(network, part)}
        reals = model.layer_outputs(part, network.input_type, [pairs[op.name] for op in compared])
        keras = {op.name: _levels(real, network.tensors[op.output]) for op, real in zip(compared, reals, strict=True)}
        for name, own in _layer_by_layer(network, part, keras).items():
            differs = integer[name] != keras[name]
            steps = np.abs(own - keras[name])
            counts[name] += [int((differs & kind).sum()) for kind in (steps == 1, steps == 0, steps > 1)]
        logits = next(integer[op.name] for op in network.ops if op.output == network.outputs[0])
        predictions += len(mismatches(classes_of(logits), model.classes(part, network.input_type)))
    layers = tuple(
        FloatLayer(op.name, pairs[op.name], rounding, inherited, unexplained, total)
        for op in compared
        for rounding, inherited, unexplained in [counts[op.name].tolist()]
        for total in [network.tensors[op.output].elements * len(levels)]
    )
    return FloatComparison(len(levels), layers, predictions)


def _levels(real: npt.NDArray[np.float32], spec: TensorType) -> Batch:
    """The levels (N, *shape) that Keras's values stand for, int64."""
    levels = np.rint(real.astype(np.float64) / spec.scale) + spec.zero_point
    return levels.reshape(len(real), *spec.shape).astype(np.int64)


def _layer_by_layer(network: Network, levels: Levels, keras: dict[str, Batch]) -> dict[str, Batch]:
    """Output of each layer in `keras`, every such layer before it having given Keras's levels instead of its own."""
    values: dict[str, Batch] = {network.input: levels.astype(np.int64)}
    own = {}
    for op in network.ops:
        output = network.tensors[op.output]
        result = op.run([values[name] for name in op.inputs], network.input_types(op), output)
        if op.name in keras:
            own[op.name] = result
            # A level outside the range would index a table beyond its end.
            result = np.clip(keras[op.name], output.minimum, output.maximum)
        values[op.output] = result
    return own
