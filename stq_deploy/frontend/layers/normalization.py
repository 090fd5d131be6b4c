"""BatchNormalization and QBatchNormalization, with their moving statistics as at inference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.quantizers import CONSTANT, Quantizer, trainable
from stq_deploy.frontend.source import BatchNormFold, BatchNormNode, FloatArray
from stq_deploy.frontend.values import AcceptedValues

_QKERAS_QUANTIZERS = {
    "gamma": "quantized_relu_po2(6, 2048)",
    "beta": "quantized_po2(5)",
    "mean": "quantized_po2(5)",
    "variance": "quantized_relu_po2(6, quadratic_approximation=True)",
}
"""QBatchNormalization's default quantizers, by role."""


@register("BatchNormalization", "QBatchNormalization")
def import_batch_normalization(reader: LayerReader) -> None:
    """Folded into the layer before it, or an op of its own after a pool or a sum."""
    position, shape = reader.only_input()
    epsilon = normalization_epsilon(reader, len(shape))
    names = normalization_names(reader.boolean("scale", True), reader.boolean("center", True))
    arrays = reader.arrays(dict.fromkeys(names, shape[-1:]))
    numbers = fold(reader, arrays, shape[-1], epsilon)
    at = reader.add(
        BatchNormNode(
            reader.name, (position,), shape,
            gamma=numbers.gamma, beta=numbers.beta, mean=numbers.mean, variance=numbers.variance, epsilon=epsilon,
        )
    )  # fmt: skip
    if reader.layer.kind == "QBatchNormalization":
        reader.numbers[at] = _quantizers(reader, arrays)


def _quantizers(reader: LayerReader, arrays: Mapping[str, FloatArray]) -> dict[str, Quantizer]:
    reader.fixed("inverse_quantizer", None)  # of QKeras after 0.9.0
    found = {}
    for what, default in _QKERAS_QUANTIZERS.items():
        quantizer = reader.quantizer(f"{what}_quantizer", CONSTANT, default)
        if quantizer is not None and (what in arrays or what in ("mean", "variance")):
            found[what] = trainable(quantizer) if what in ("gamma", "variance") else quantizer
    return found


def normalization_epsilon(reader: LayerReader, rank: int) -> float:
    """Take the settings of a batch normalization of the last of `rank` axes."""
    last = (-1, rank)
    axes = AcceptedValues("-1, the channels' axis", lambda v: v in (*last, *([n] for n in last)) and v is not True, -1)
    reader.take("axis", axes)
    reader.any_value("momentum", "renorm_momentum", "renorm_clipping", "moving_mean_initializer")
    reader.any_value("moving_variance_initializer", "synchronized")
    reader.fixed("renorm", False)
    reader.fixed("virtual_batch_size", None)
    return reader.number("epsilon", 1e-3, 0, 1)


def normalization_names(scale: bool, center: bool) -> tuple[str, ...]:
    """The arrays that a batch normalization stores, in Keras's order."""
    return (*["gamma"] * scale, *["beta"] * center, "moving_mean", "moving_variance")


def fold(reader: LayerReader, arrays: Mapping[str, FloatArray], channels: int, epsilon: float) -> BatchNormFold:
    """The numbers of a batch normalization from its stored arrays; a missing gamma is 1 and a missing beta 0."""
    variance = arrays["moving_variance"]
    if (variance < 0).any():
        raise reader.error("moving_variance is negative", "the file is damaged: save the model again")
    if (variance + np.float32(epsilon) == 0).any():
        raise reader.error("moving_variance + epsilon is 0", "train again with epsilon=0.001")
    gamma, beta = arrays.get("gamma", np.ones(channels, np.float32)), arrays.get("beta", np.zeros(channels, np.float32))
    return BatchNormFold(gamma, beta, arrays["moving_mean"], variance, epsilon)
