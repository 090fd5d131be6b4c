"""The first half of lowering: which form each value of the model takes. The second half, `emit`, makes the ops.

`nodes` walks the model. `quantized`, `unquantized` and `outputs` turn its values into decisions (`decision`) by way of
`tables`, `operation` and `rearrangement`.
"""

from stq_deploy.lowering.decide.decision import Decision, Decisions, ValueForm
from stq_deploy.lowering.decide.nodes import CERTIFYING, decide

__all__ = ["CERTIFYING", "Decision", "Decisions", "ValueForm", "decide"]
