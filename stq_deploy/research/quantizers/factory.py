"""Makes a quantizer from its text, as our schemes write it."""

from __future__ import annotations

from typing import Any

import qkeras.quantizers as qk
from qkeras.safe_eval import safe_eval

from stq_deploy.research.quantizers.stochastic import stochastic_binary, stochastic_ternary

OURS: dict[str, type] = {"stochastic_ternary": stochastic_ternary, "stochastic_binary": stochastic_binary}


def make_quantizer(text: str) -> Any:
    """A new quantizer from text such as `quantized_relu(4,2)`; stochastic names give ours. qkeras syntax.

    Only for texts of this package and of the user's own code: QKeras looks names up among all its globals.
    """
    return safe_eval(text, {**vars(qk), **OURS})
