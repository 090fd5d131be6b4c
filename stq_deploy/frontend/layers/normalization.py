"""BatchNormalization, with its moving statistics as at inference."""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import BatchNormNode

_SMALLEST_EPSILON = 1.001e-5  # below it, TensorFlow's fused kernel silently uses this value instead


@register("BatchNormalization")
def import_batch_normalization(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    axis = reader.raw("axis")
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(shape)) or isinstance(axis, bool):
        raise reader.error(f"the setting axis={axis!r} is not supported", "normalise over the channels: axis=-1")
    reader.any_value("momentum", "renorm_momentum", "renorm_clipping", "moving_mean_initializer")
    reader.any_value("moving_variance_initializer", "synchronized")
    reader.fixed("renorm", False)
    reader.fixed("virtual_batch_size", None)
    epsilon = reader.number("epsilon", 1e-3)
    if not _SMALLEST_EPSILON <= epsilon <= 1:
        raise reader.error(f"the setting epsilon={epsilon} is not supported", f"use {_SMALLEST_EPSILON} to 1")
    channels = (shape[-1],)
    names = ["gamma"] * reader.boolean("scale", True) + ["beta"] * reader.boolean("center", True)
    arrays = reader.arrays(dict.fromkeys((*names, "moving_mean", "moving_variance"), channels))
    if (arrays["moving_variance"] < 0).any():
        raise reader.error("moving_variance is negative", "the file is damaged: save the model again")
    reader.add(
        BatchNormNode(
            reader.name, (position,), shape,
            gamma=arrays.get("gamma", np.ones(channels, np.float32)),
            beta=arrays.get("beta", np.zeros(channels, np.float32)),
            mean=arrays["moving_mean"], variance=arrays["moving_variance"], epsilon=epsilon,
        )
    )  # fmt: skip
