"""The first half of lowering: which form each value of the model takes. The second half, `emit`, makes the ops.

`nodes` walks the model. `quantized`, `tensors` and `outputs` turn its values into decisions (`decision`). The decisions
themselves are made by pure functions, a file for each kind: `tables`, `exact`, `rounding`, `operands`, `curve`,
`operation` and `rearrangement`.
"""

from stq_deploy.lowering.decide.decision import Decision, Decisions, ValueForm
from stq_deploy.lowering.decide.nodes import CERTIFYING, decide

__all__ = ["CERTIFYING", "Decision", "Decisions", "ValueForm", "decide"]
