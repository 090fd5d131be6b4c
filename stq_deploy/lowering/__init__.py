"""From a `SourceGraph` to the integer `Network`: fold, fuse, certify."""

from stq_deploy.lowering.input_levels import UnknownInputError
from stq_deploy.lowering.lower import lower

__all__ = ["UnknownInputError", "lower"]
