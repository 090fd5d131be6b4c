"""From a `SourceGraph` to the integer `Network`: fold, fuse, certify."""

from stq_deploy.lowering.input_levels import UnknownInputError
from stq_deploy.lowering.load_model import Conversion, PostTraining, convert_model, load_any, open_source
from stq_deploy.lowering.lower import lower

__all__ = ["Conversion", "PostTraining", "UnknownInputError", "convert_model", "load_any", "lower", "open_source"]
