"""From a QKeras model file to a `SourceGraph`: allow-list first, nothing of the file is ever executed.

`parse_model` needs no TensorFlow; `read_source` imports qkeras to evaluate the weight quantizers, and for nothing
else.
"""

from stq_deploy.frontend.importer import LayerRow, ParsedModel, list_layers, parse_model, read_source
from stq_deploy.frontend.source import SourceGraph

__all__ = ["LayerRow", "ParsedModel", "SourceGraph", "list_layers", "parse_model", "read_source"]
