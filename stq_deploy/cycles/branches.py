"""The number of jumps that a Cortex-M7 predicts wrongly, from how often each target follows.

The predictor's design is not published. The estimate assumes that the core predicts the most frequent target of a
jump, and that every other target is a wrong prediction. So a loop costs one wrong prediction whenever it ends, however
short it is. Calls and jumps whose target is in their encoding are always predicted correctly.
"""

from __future__ import annotations

from collections.abc import Mapping

from stq_deploy.cycles.operation import CoreUnit, Operation


def wrong_predictions(last: Operation, followers: Mapping[int, int]) -> int:
    """Number of wrong predictions of the jump at the end of a block.

    Args:
        last: the block's last operation.
        followers: address of the next block -> how often it followed.
    """
    if not last.is_jump or not followers:
        return 0
    is_certain = (
        last.unit is CoreUnit.BRANCH and last.target >= 0 and last.name in ("b", "bl") and not last.is_conditional
    )
    return 0 if is_certain else sum(followers.values()) - max(followers.values())
