"""BatchNormalization, with its moving statistics as at inference."""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import BatchNormNode
from stq_deploy.frontend.values import Values


@register("BatchNormalization")
def import_batch_normalization(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    last = (-1, len(shape))
    axes = Values("-1, the channels' axis", lambda v: v in (*last, *([n] for n in last)) and v is not True, -1)
    reader.take("axis", axes)
    reader.any_value("momentum", "renorm_momentum", "renorm_clipping", "moving_mean_initializer")
    reader.any_value("moving_variance_initializer", "synchronized")
    reader.fixed("renorm", False)
    reader.fixed("virtual_batch_size", None)
    epsilon = reader.number("epsilon", 1e-3, 0, 1)
    channels = (shape[-1],)
    names = ["gamma"] * reader.boolean("scale", True) + ["beta"] * reader.boolean("center", True)
    arrays = reader.arrays(dict.fromkeys((*names, "moving_mean", "moving_variance"), channels))
    if (arrays["moving_variance"] < 0).any():
        raise reader.error("moving_variance is negative", "the file is damaged: save the model again")
    if (arrays["moving_variance"] + np.float32(epsilon) == 0).any():
        raise reader.error("moving_variance + epsilon is 0", "train again with epsilon=0.001")
    reader.add(
        BatchNormNode(
            reader.name, (position,), shape,
            gamma=arrays.get("gamma", np.ones(channels, np.float32)),
            beta=arrays.get("beta", np.zeros(channels, np.float32)),
            mean=arrays["moving_mean"], variance=arrays["moving_variance"], epsilon=epsilon,
        )
    )  # fmt: skip
