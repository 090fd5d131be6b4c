"""Layers that act in training only."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import PassNode


@register(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
    "ActivityRegularization",
)  # fmt: skip
def import_training_only(reader: LayerReader) -> None:
    """Dropped."""
    position, shape = reader.only_input()
    reader.any_value("rate", "noise_shape", "seed", "stddev", "l1", "l2", "data_format")
    reader.add(PassNode(reader.name, (position,), shape, "acts in training only"))
