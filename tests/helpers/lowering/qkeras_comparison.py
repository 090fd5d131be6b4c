"""Runs a QKeras model layer by layer on the integer network's own activations, and counts differing levels.

Every op gets the same input on both sides (the network's levels, as real numbers), so one difference cannot cause
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import Network, TensorType
from stq_deploy.network.input_format import dequantize_input
from stq_deploy.network.reference import run_layers


@dataclass(frozen=True)
class Comparison:
    """One op: how many of its `elements` differ in level, by how many levels at most, and the certificate's kind."""

    op: str
    layer: str
    elements: int
    differing: int
    largest_difference: float
    kind: str


def compare(model: Any, network: Network, levels: npt.NDArray[np.integer[Any]]) -> Iterator[Comparison]:
    """Compare every op whose output equals a Keras layer's output."""
    by_layer: dict[str, Any] = {}
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            by_layer[layer.name] = dequantize_input(levels, network.input_type)
    for op, result in run_layers(network, levels):
        target = network.metadata.keras_outputs.get(op.name)
        if target is None:
            continue
        found = _evaluate(model, target, by_layer)
        output = network.tensors[op.output]
        difference = np.abs(_levels(found, output) - result)
        if output.dtype == "int32":  # logits have no quantizer: compare with the certified error, loosened by float32's
            certificate = network.metadata.certificates.get(op.name)
            allowed = getattr(certificate, "largest_error", None) or 0.0
            allowed += 1e-5 * np.abs(found).max()
            difference = np.where(difference * output.scale <= allowed, 0, difference)
        kind = getattr(network.metadata.certificates.get(op.name), "kind", "")
        yield Comparison(op.name, target, result.size, int((difference > 0).sum()), float(difference.max()), kind)
        by_layer[target] = ((result.astype(np.float64) - output.zero_point) * output.scale).astype(np.float32)


def _evaluate(model: Any, name: str, by_layer: dict[str, Any]) -> npt.NDArray[np.float32]:
    if name not in by_layer:
        layer = model.get_layer(name)
        before = layer.inbound_nodes[0].inbound_layers
        before = before if isinstance(before, list) else [before]
        inputs = [_evaluate(model, b.name, by_layer) for b in before]
        by_layer[name] = layer(inputs if len(inputs) > 1 else inputs[0], training=False).numpy()
    return by_layer[name]


def _levels(values: npt.NDArray[np.float32], output: TensorType) -> npt.NDArray[np.float64]:
    return np.rint(values.astype(np.float64) / output.scale) + output.zero_point
