"""Which jumps a Cortex-M7 predicts wrongly, by how often each went where.

The predictor's design is not published. The estimate assumes that a jump is predicted to go its usual way, and that
each other way was a wrong prediction. So a loop costs one wrong prediction whenever it ends, however short it is.
Calls and jumps whose target is in their encoding are always right.
"""

from __future__ import annotations

from collections.abc import Mapping

from stq_deploy.cycles.operation import Operation, Unit


def wrong_predictions(last: Operation, followers: Mapping[int, int]) -> int:
    """How many of the jumps at the end of a block were predicted wrongly.

    Args:
        last: the block's last operation.
        followers: address of the next block -> how often it followed.
    """
    if not last.is_jump or not followers:
        return 0
    is_certain = last.unit is Unit.BRANCH and last.target >= 0 and last.name in ("b", "bl") and not last.is_conditional
    return 0 if is_certain else sum(followers.values()) - max(followers.values())
