"""From a `SourceGraph` to the integer `Network`: fold, fuse, certify."""

from stq_deploy.passes.input_levels import UnknownInputError
from stq_deploy.passes.load_model import Conversion, PostTraining, convert_model, load_any, open_source
from stq_deploy.passes.lower import lower

__all__ = ["Conversion", "PostTraining", "UnknownInputError", "convert_model", "load_any", "lower", "open_source"]
