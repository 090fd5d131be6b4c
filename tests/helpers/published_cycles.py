"""Cycles that follow from what others state of their measurements on a Cortex-M7, and the model's for the same code.

jnk0le: github.com/jnk0le/random, "pipeline cycle test/doc/cortex_m7.md", STM32H743 revision Y; quoted.
quinapalus: quinapalus.com/cm7cycles.html, STM32H730.
Division alone is LLVM's: ARMScheduleM7.td.
"""

from __future__ import annotations

from stq_deploy.cycles.cores import core_model
from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.timeline import ExecutedOperation

_TURNS = 24


def rate(code: bytes, *, jumps: bool = False) -> float:
    """Cycles of a turn in a long loop of `code`."""
    operations = decode(0x2000, code)
    steps = [ExecutedOperation(operation) for operation in operations]
    if jumps:
        steps[-1] = ExecutedOperation(operations[-1], jumps=True)
    timing = core_model("cortex-m7").time([steps] * (2 * _TURNS))
    return (timing.marks[-1] - timing.marks[_TURNS - 1]) / _TURNS


PAIRS = {
    # "dual issuing matrix" of second operands; the column is the younger one.
    "add.w r0, r1, #1 / eor.w r2, r3, #0x1b1b1b1b": 1,
    "eor.w r0, r1, #0x1b1b1b1b / eor.w r2, r3, #0x1fc0": 1,
    "add.w r0, r1, #1 / eor.w r2, r3, r4, ror #24": 1,
    "eor.w r0, r1, #0x1fc0 / eor.w r2, r3, #0x1fc0": 2,
    "eor.w r0, r1, #0x1fc0 / eor.w r2, r3, r4, ror #24": 2,
    "eor.w r0, r1, r4, ror #24 / eor.w r2, r3, #0x1fc0": 2,
    "eor.w r0, r1, r4, ror #24 / eor.w r2, r3, r4, ror #8": 2,
    "eor.w r0, r1, r4, ror #24 / lsr.w r2, r3, #12": 1,
    "eor.w r0, r1, r4, ror #24 / ror.w r2, r3, r4": 1,
    "lsr.w r0, r1, #12 / lsr.w r2, r3, #12": 1,
    "lsr.w r0, r1, #12 / ror.w r2, r3, r4": 1,
    "add.w r0, r1, r2 / sub.w r3, r4, r5": 1,
    # "cannot dual issue wrt each other" of the bit field and DSP instructions
    "uxtb.w r0, r1 / uxtb.w r2, r3": 2,
    "uadd8 r0, r1, r2 / uadd8 r3, r4, r5": 2,
    "ubfx r0, r1, #2, #3 / rev.w r2, r3": 2,
    "clz r0, r1 / pkhbt r2, r3, r4": 2,
    # "must be placed in older op"
    "uxtb.w r0, r1 / add.w r2, r3, r4": 1,
    "uxtab16 r0, r0, r1 / ldr.w r2, [r3]": 1,
    # "can't be dual issued with operand2 inline_shifted_reg/shifted_constant"
    "bfi r0, r1, #2, #3 / eor.w r2, r3, r4, ror #24": 2,
    "uxtab16 r0, r0, r1 / eor.w r2, r3, #0x1fc0": 2,
    "uadd8 r0, r1, r2 / eor.w r3, r4, r5, ror #24": 1,
    # multiplication: "can't dual issue wrt each other", "can't dual issue with stores"
    "smlad r0, r1, r2, r0 / smlad r3, r4, r5, r3": 2,
    "mul r0, r1, r2 / smlabb r3, r4, r5, r3": 2,
    "smlad r0, r1, r2, r0 / str.w r3, [r4]": 2,
    "str.w r3, [r4] / mul r0, r1, r2": 2,
    # "can be dual issued with dsp/bitmanip and operand2 inline_shifted_reg/shifted_constant instructions as well as
    # execute in any opcode slot"
    "sxtb16 r5, r6 / smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / eor.w r3, r4, r5, ror #24": 1,
    "and.w r3, r4, r5 / smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / ldr.w r3, [r4]": 1,
    # "all multiply accumulates can be chained on accumulator dependency each cycle"
    "smlad r0, r1, r2, r0": 1,
    "smlad r0, r1, r2, r0 / and.w r3, r4, r5": 1,
    # loads: "can be dual issued if each one is targeting different bank (even and odd words)"
    "ldr.w r0, [r1] / ldr.w r2, [r1, #4]": 1,
    "ldr.w r0, [r1] / ldr.w r2, [r1, #8]": 2,
    "ldr.w r0, [r1, #12] / ldr.w r2, [r1, #-8]": 1,
    # stores: "cannot dual issue two stores", "can be dual issued with load"
    "str.w r0, [r1] / str.w r2, [r1, #4]": 2,
    "ldr.w r0, [r1] / str.w r2, [r3]": 1,
    "str.w r2, [r3] / ldr.w r0, [r1]": 1,
    "add.w r0, r1, r2 / str.w r3, [r4]": 1,
    # load and store of pairs and lists: "cannot dual issue", "takes ceil(regnum/2) cycles"
    "ldrd r0, r1, [r2]": 1,
    "ldrd r0, r1, [r2] / add.w r3, r4, r5": 2,
    "ldmia r9, {r0-r3}": 2,
    "ldmia r9, {r0-r4}": 3,
    "stmia r9, {r0-r3}": 2,
    "push {r0-r4}": 3,
    # "movw + movt pair can dual issue with mutual dependency"
    "movw r0, #1234 / movt r0, #5678": 1,
    # division: LLVM's ARMScheduleM7.td, single issue, 7 cycles
    "sdiv r0, r1, r2 / add.w r3, r4, r5": 8,
}
"""Independent instructions, and cycles for all of them in an endless loop without its branch."""

CHAINS = {
    # ALU results are usable in the next cycle, by an address or a shifted operand one later.
    "eor.w r0, r0, r1": 1,
    "eor.w r0, r0, r1 / eor.w r0, r0, r1": 2,
    "eor.w r0, r1, r0, ror #3": 2,
    # early ALU: "result ... can be forwarded to late ALU in 0 cycles, or early alu next cycle"
    "add.w r0, r5, r2 / eor.w r6, r0, r6": 1,
    "add.w r0, r0, r2 / ldr.w r3, [r4, r0]": 2,
    "sub.w r0, r0, r2 / eor.w r3, r4, r0, ror #2": 2,
    "lsl.w r0, r1, #3 / eor.w r6, r0, r6": 1,
    "ldr.w r2, [r3], #4 / eor.w r6, r3, r6": 1,
    # "can enter early alu from older op only": xor, then add as the younger, then a late use in the same cycle is late
    "eor.w r7, r7, r8 / add.w r0, r5, r2 / eor.w r6, r0, r6 / mov.w r9, r10": 2,
    # "word loads can be consumed by late ALU in next cycle", addresses one later
    "ldr.w r0, [r1] / add.w r2, r0, r2": 1,
    "ldr.w r0, [r0]": 2,
    # "byte/half loads ... (1 extra cycle of result latency), or third in early ALU"
    "ldrb.w r0, [r0]": 3,
    "ldrh.w r0, [r0]": 3,
    # multiplication: "1 additional cycle of result latency"
    "mul r0, r0, r1": 2,
    "smull r0, r1, r0, r1": 2,
    "mla r0, r0, r1, r2": 2,
    # "bitfield/dsp instruction result cannot be used as index or address by load/store in next cycle"
    "uxtb.w r0, r1 / ldr.w r1, [r2, r0]": 4,
    "uadd8 r0, r0, r1": 1,
    # "sbfx, ubfx, rbit, rev ... can't source from late ALU of previous cycle"
    "ubfx r0, r0, #1, #30": 2,
    "eor.w r0, r2, r1 / rev.w r2, r0": 2,
    # stores: "can store any result in same cycle, including ldr,ldrh,ldrb"
    "ldr.w r0, [r1] / str.w r0, [r2]": 1,
    "ldrb.w r0, [r1] / strb.w r0, [r2]": 2.4,
}
"""Dependent instructions, and cycles of a turn."""
