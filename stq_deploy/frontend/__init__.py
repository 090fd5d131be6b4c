"""From a model file to a `SourceGraph`: allow-list first, nothing of the file is ever executed.

`check_model` and `parse_model` need no TensorFlow. `read_source` imports qkeras only to evaluate the weight quantizers.
`keras_model` builds a Keras model from the values that `check_model` has read.
"""

from stq_deploy.frontend.checked import CheckedModel
from stq_deploy.frontend.importer import (
    check_model,
    list_layers,
    parse_model,
    read_source,
)
from stq_deploy.frontend.parsed import ParsedModel
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.network.source_layer import InspectedLayer

__all__ = [
    "CheckedModel",
    "InspectedLayer",
    "ParsedModel",
    "SourceGraph",
    "check_model",
    "list_layers",
    "parse_model",
    "read_source",
]
