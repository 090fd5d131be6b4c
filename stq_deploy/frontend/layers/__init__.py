"""One file per family of Keras layers; importing this package registers all their handlers.

To add a layer: a function here that takes its settings from a `LayerReader` and adds nodes, under
`@register("KerasClassName")`.
"""

from stq_deploy.frontend.layers import (  # noqa: F401 - imported to register their handlers
    activation,
    borders,
    convolution,
    dense,
    hgq2,
    keras_quantized,
    merge,
    normalization,
    pooling,
    shape,
    training_only,
    upsampling,
)
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import handler_for, supported_kinds

__all__ = ["LayerReader", "handler_for", "supported_kinds"]
