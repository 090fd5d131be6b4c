"""The Cortex-M4 model against Arm's table (DDI0439, "Cortex-M4 instructions") and jnk0le's doc/cortex_m3m4.md."""

from __future__ import annotations

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.cycles.cores import CORES, core_model
from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.timeline import ExecutedOperation
from tests.helpers.assembly import Assemble

SEQUENCES = {
    "add.w r0, r1, r2\nadd.w r3, r4, r5": 2,
    "smlad r0, r1, r2, r3": 1,
    "smull r0, r1, r2, r3": 1,
    "ldr r0, [r1]": 2,
    "ldr r0, [r1]\nldr r2, [r3]\nldr r4, [r5]": 4,  # loads in a row: one more than their number
    "ldr r0, [r1]\nldr r2, [r0]": 2 + 3,  # an address is needed a cycle earlier
    "ldr r0, [r1]\nstr r0, [r2]": 3,
    "ldmia r0, {r1-r4}": 5,
    "push {r0-r3, lr}": 6,
    "ldrd r0, r1, [r2]": 3,
    "sdiv r0, r1, r2": 12,
    "nop": 1,
}


@pytest.mark.parametrize(("text", "cycles"), SEQUENCES.items(), ids=SEQUENCES.keys())
def test_published_cycles(text: str, cycles: float, assemble: Assemble) -> None:
    steps = [ExecutedOperation(operation) for operation in decode(0, assemble(text))]
    assert core_model("cortex-m4").time([steps]).marks == (cycles,)


@pytest.mark.parametrize(("jumps", "cycles"), [(True, 3), (False, 1)])
def test_branches(jumps: bool, cycles: float, assemble: Assemble) -> None:
    (branch,) = decode(0, assemble("bne .-40"))
    assert core_model("cortex-m4").time([[ExecutedOperation(branch, jumps=jumps)]]).marks == (cycles,)


def test_unknown_core() -> None:
    assert set(CORES) == {"cortex-m7", "cortex-m4"}
    with pytest.raises(StqError, match="no cycle model") as caught:
        core_model("cortex-m5")
    assert "cortex-m4" in str(caught.value)
