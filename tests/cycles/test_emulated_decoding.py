"""Decoded operands against an emulated core: registers that an instruction changes, and those that it depends on."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from unicorn import UC_ARCH_ARM, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, UC_MODE_THUMB, Uc
from unicorn import arm_const as arm

from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.operation import FLAGS, FPU_REGISTER, CoreUnit, Operation
from tests.helpers.assembly import Assemble

CODE, RAM, RAM_BYTES = 0x1_0000, 0x2000_0000, 0x2000
GENERAL = (*(getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR)
FLAG_BITS = 0xF00F_0000
"""N, Z, C, V and GE. Q is left out: nothing that is modelled reads it."""

ARITHMETIC = """
lsls r0, r1, #3; lsrs r0, r1, #3; asrs r0, r1, #31; movs r0, r1; adds r0, r1, r2; subs r0, r1, r2; adds r0, r1, #7
subs r0, r1, #7; movs r3, #200; cmp r3, #200; adds r3, #200; subs r3, #200; ands r1, r2; eors r1, r2; lsls r1, r2
lsrs r1, r2; asrs r1, r2; adcs r1, r2; sbcs r1, r2; rors r1, r2; tst r1, r2; negs r1, r2; cmp r1, r2; cmn r1, r2
orrs r1, r2; muls r1, r2; bics r1, r2; mvns r1, r2; add r8, r1; cmp r8, r1; mov r8, r1; mov r1, r8; add r1, sp, #16
sxth r0, r1; sxtb r0, r1; uxth r0, r1; uxtb r0, r1; rev r0, r1; rev16 r0, r1; revsh r0, r1
and.w r8, r9, r10; bic.w r8, r9, r10; orr.w r8, r9, r10; orn r8, r9, r10; eor.w r8, r9, r10; add.w r8, r9, r10
adc.w r8, r9, r10; sbc.w r8, r9, r10; sub.w r8, r9, r10; rsb r8, r9, r10; mov.w r8, r9; mvn.w r8, r9
ands.w r8, r9, r10; adds.w r8, r9, r10; subs.w r8, r9, r10, lsl #4; add.w r8, r9, r10, asr #31
eor.w r8, r9, r10, ror #3; tst.w r8, r9; teq r8, r9; cmp.w r8, r9; cmn.w r8, r9; cmp.w r8, r9, lsl #2
mvn.w r8, r9, lsr #3
orn r8, r9, r10, lsl #1
lsl.w r8, r9, #5; lsr.w r8, r9, #5; asr.w r8, r9, #5; ror.w r8, r9, #5; rrx r8, r9; lsls.w r8, r9, #5
lsl.w r8, r9, r10; lsr.w r8, r9, r10; asr.w r8, r9, r10; ror.w r8, r9, r10; lsrs.w r8, r9, r10
and.w r8, r9, #0x00ff00ff; add.w r8, r9, #0x1fc0; orr.w r8, r9, #0xab; mov.w r8, #0x1fc0; mvn r8, #0x1fc0
cmp.w r8, #0x1fc0; tst.w r8, #0x1fc0; adcs.w r8, r9, #5; rsb r8, r9, #0; subs.w r8, r9, #0x100
addw r8, r9, #4095; subw r8, r9, #4095; movw r8, #65535; movt r8, #65535; ssat r8, #7, r9; usat r8, #7, r9
ssat r8, #7, r9, lsl #3; usat r8, #7, r9, asr #16; usat16 r8, #7, r9; ssat16 r8, #7, r9; sbfx r8, r9, #3, #9
ubfx r8, r9, #3, #9; bfi r8, r9, #3, #9; bfc r8, #3, #9; pkhbt r8, r9, r10; pkhtb r8, r9, r10, asr #7; clz r8, r9
pkhbt r8, r9, r10, lsl #16; rbit r8, r9; rev.w r8, r9; rev16.w r8, r9; revsh.w r8, r9; sxtb16 r8, r9
sxtb16 r8, r9, ror #8; uxtb16 r8, r9; uxtab16 r8, r9, r10; sxtab16 r8, r9, r10, ror #8; sxtab r8, r9, r10
uxtah r8, r9, r10; sxth.w r8, r9; uxtb.w r8, r9, ror #16; sadd16 r8, r9, r10; uadd8 r8, r9, r10; usub8 r8, r9, r10
ssub16 r8, r9, r10; qadd16 r8, r9, r10; uqsub8 r8, r9, r10; shadd8 r8, r9, r10; uhadd8 r8, r9, r10; sasx r8, r9, r10
qadd r8, r9, r10; qdsub r8, r9, r10; sel r8, r9, r10; mul r8, r9, r10; mla r8, r9, r10, r11; mls r8, r9, r10, r11
smlabb r8, r9, r10, r11; smultt r8, r9, r10; smlad r8, r9, r10, r11; smladx r8, r9, r10, r11; smuad r8, r9, r10
smlsd r8, r9, r10, r11; smlawb r8, r9, r10, r11; smlawt r8, r9, r10, r11; smulwb r8, r9, r10; smmla r8, r9, r10, r11
smmul r8, r9, r10; smmulr r8, r9, r10; smmls r8, r9, r10, r11; usad8 r8, r9, r10; usada8 r8, r9, r10, r11
smull r8, r9, r10, r11; umull r8, r9, r10, r11; smlal r8, r9, r10, r11; umlal r8, r9, r10, r11; smlald r8, r9, r10, r11
smlalbt r8, r9, r10, r11; umaal r8, r9, r10, r11; smlsld r8, r9, r10, r11; sdiv r8, r9, r10; udiv r8, r9, r10
"""

MEMORY = """
ldr r0, [r1, #8]; ldrb r0, [r1, #3]; ldrh r0, [r1, #6]; str r0, [r1, #8]; strb r0, [r1, #3]; strh r0, [r1, #6]
ldr r0, [r1, r2]; ldrsb r0, [r1, r2]; ldrsh r0, [r1, r2]; ldrb r0, [r1, r2]; ldrh r0, [r1, r2]; str r0, [r1, r2]
strb r0, [r1, r2]; strh r0, [r1, r2]; ldr r0, [sp, #12]; str r0, [sp, #12]; push {r0-r3}; pop {r0-r3}; push {r4, lr}
ldmia r1!, {r2, r3}; stmia r1!, {r2, r3}; ldmia r1, {r1, r2}; ldr.w r8, [r9, #2044]; ldrsh.w r8, [r9, #42]
ldr.w r8, [r9, #-8]; ldr.w r8, [r9, #8]!; ldr.w r8, [r9], #-8; ldrb.w r8, [r9], #1; strb.w r8, [r9], #1
strh.w r8, [r9, #2]!
ldr.w r8, [r9, r10, lsl #2]; ldrb.w r8, [r9, r10]; str.w r8, [r9, r10, lsl #3]; ldrsb.w r8, [r9, r10, lsl #1]
ldrd r8, r10, [r9, #16]; ldrd r8, r10, [r9], #8; strd r8, r10, [r9, #-16]!; strd r8, r10, [r9]
ldmia.w r9!, {r0, r8, r10}; ldmdb r9!, {r0, r8}; stmia.w r9, {r0, r8, r10}; stmdb r9!, {r0, r8}; pop.w {r0, r8, r9}
push.w {r0, r8, r9}; ldrsb.w r8, [r9, #-1]
"""


def instructions(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\n", ";").split(";") if line.strip()]


class Bench:
    """A core with random registers that executes one instruction."""

    def __init__(self, code: bytes, operation: Operation) -> None:
        # Not UC_MODE_MCLASS: with it, Unicorn 2.1.4 makes a Cortex-M33.
        self.uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB, cpu=arm.UC_CPU_ARM_CORTEX_M7)
        self.uc.mem_map(CODE, 0x1000)
        self.uc.mem_map(RAM, RAM_BYTES)
        self.uc.mem_write(CODE, code)
        self.operation = operation
        self.accesses: list[tuple[bool, int, int]] = []
        self.uc.hook_add(UC_HOOK_MEM_READ, lambda _u, _k, at, size, _v, _d: self.accesses.append((False, at, size)))
        self.uc.hook_add(UC_HOOK_MEM_WRITE, lambda _u, _k, at, size, _v, _d: self.accesses.append((True, at, size)))

    def start(self, rng: random.Random) -> dict[int, int]:
        """Random registers by number; small and large values, and addresses where the instruction needs one."""
        state = {number: rng.getrandbits(rng.choice((4, 8, 16, 32))) for number in range(13)}
        state |= {14: rng.getrandbits(32), 13: RAM + 0x1000, FLAGS: rng.getrandbits(32) & FLAG_BITS}
        if self.operation.words:
            base, *index = self.operation.early
            state[base] = RAM + 0x1000 + 8 * rng.randrange(64)
            for register in index:
                state[register] = 8 * rng.randrange(64)
        return state

    def run(self, state: dict[int, int], memory: bytes) -> dict[int, int]:
        """Registers after the instruction; the stored bytes stand under -1."""
        self.uc.mem_write(RAM, memory)
        self.uc.reg_write(arm.UC_ARM_REG_CPSR, 0x20 | state[FLAGS])
        for number, name in zip((*range(13), 13, 14), GENERAL, strict=True):
            self.uc.reg_write(name, state[number])
        self.accesses.clear()
        self.uc.emu_start(CODE | 1, 0, count=1)
        after = {n: self.uc.reg_read(name) for n, name in zip((*range(13), 13, 14), GENERAL, strict=True)}
        after[FLAGS] = self.uc.reg_read(arm.UC_ARM_REG_CPSR) & FLAG_BITS
        return after | {-1: hash(bytes(self.uc.mem_read(RAM, RAM_BYTES))) if self.operation.stored else 0}


def check_operands(code: bytes) -> None:
    (operation,) = decode(CODE, code)
    assert operation.unit is not CoreUnit.OTHER, operation
    bench, rng = Bench(code, operation), random.Random(5)
    written = {*operation.results, *((operation.base,) if operation.base >= 0 else ())}
    read = {*operation.late, *operation.early, *operation.added, *operation.stored}
    changed: set[int] = set()
    depends: set[int] = set()
    for _ in range(12):
        state, memory = bench.start(rng), rng.randbytes(RAM_BYTES)
        after = bench.run(state, memory)
        accesses = list(bench.accesses)
        changed |= {number for number in state if after[number] != state[number]}
        for number in state:
            other = dict(state)
            other[number] = rng.getrandbits(32) & FLAG_BITS if number == FLAGS else rng.getrandbits(32)
            if operation.words and number in operation.early:
                other[number] = state[number] ^ 8
            differs = bench.run(other, memory)
            # Flags that an instruction leaves alone pass through it.
            own = number in written and number != FLAGS
            effects = [-1, *(effect for effect in state if effect != number or own)]
            if any(differs[effect] != after[effect] for effect in effects):
                depends.add(number)
        check_accesses(operation, state, accesses)
    assert changed == written, operation
    if operation.base >= 0 or operation.unit in (CoreUnit.LOAD_MANY, CoreUnit.STORE_MANY):
        depends -= {operation.base}
        read -= {operation.base}
    assert depends == read, operation


def check_accesses(operation: Operation, state: dict[int, int], accesses: list[tuple[bool, int, int]]) -> None:
    assert sum(size for _, _, size in accesses) == operation.access * operation.words, operation
    assert all(writes == bool(operation.stored) for writes, _, _ in accesses)
    if operation.offset is not None:
        assert accesses[0][1] == state[operation.early[0]] + operation.offset, operation


@pytest.mark.parametrize("text", instructions(ARITHMETIC))
def test_arithmetic(text: str, assemble: Assemble) -> None:
    check_operands(assemble(text))


@pytest.mark.parametrize("text", instructions(MEMORY))
def test_memory(text: str, assemble: Assemble) -> None:
    check_operands(assemble(text))


def test_skipped_instructions_depend_on_the_flags(assemble: Assemble) -> None:
    it, taken, skipped, after = decode(0, assemble("ite eq\nmoveq r0, #1\naddne r0, r1, r2\nadds r3, r4, r5"))
    assert it.unit is CoreUnit.IT
    assert taken.is_conditional and FLAGS in taken.late and FLAGS not in taken.results
    assert skipped.is_conditional and skipped.late == (1, 2, FLAGS) and skipped.results == (0,)
    assert not after.is_conditional and FLAGS in after.results


@pytest.mark.parametrize(
    ("text", "name", "target"),
    [
        ("b .+260", "b", 260),
        ("b.w .-2000", "b", -2000),
        ("bne .-40", "b<c>", -40),
        ("bne.w .-4000", "b<c>", -4000),
        ("cbz r3, .+16", "cbz", 16),
        ("cbnz r3, .+126", "cbnz", 126),
        ("bl .+0x20000", "bl", 0x2_0000),
    ],
)
def test_targets(text: str, name: str, target: int, assemble: Assemble) -> None:
    code = assemble(text)
    if text.startswith("bl") and target:  # a call is left to the linker where it may be
        code = bytes.fromhex("1ff0feff")
    (operation,) = decode(CODE, code)
    assert (operation.name, operation.is_jump) == (name, True)
    assert operation.target - CODE in (target, target + 2)


def test_floating_point_registers(assemble: Assemble) -> None:
    load, many, store, move, back = decode(
        0, assemble("vldr s5, [r1, #8]\nvldmia r2!, {d2-d3}\nvstr d1, [r3]\nvmov s1, r4\nvmov r5, s1")
    )
    assert (load.unit, load.results, load.words) == (CoreUnit.LOAD, (FPU_REGISTER + 5,), 1)
    assert (many.unit, many.results, many.base) == (
        CoreUnit.LOAD_MANY,
        tuple(FPU_REGISTER + n for n in (4, 5, 6, 7)),
        2,
    )
    assert (store.unit, store.stored) == (CoreUnit.STORE_MANY, (FPU_REGISTER + 2, FPU_REGISTER + 3))
    assert (move.late, move.results) == ((4,), (FPU_REGISTER + 1,))
    assert (back.late, back.results) == ((FPU_REGISTER + 1,), (5,))


@pytest.mark.parametrize("text", ["dmb", "mrs r0, primask", "ldrex r0, [r1]", "svc #1", "bkpt #0"])
def test_what_has_no_rule_says_so(text: str, assemble: Assemble) -> None:
    (operation,) = decode(0, assemble(text))
    assert operation.unit is CoreUnit.OTHER


def test_names_are_those_of_objdump(assemble: Assemble, tmp_path: Path) -> None:
    objdump = shutil.which("arm-none-eabi-objdump")
    if objdump is None:
        pytest.skip("arm-none-eabi-objdump is not installed")
    code = assemble("\n".join(instructions(ARITHMETIC) + instructions(MEMORY)))
    file = tmp_path / "code.bin"
    file.write_bytes(code)
    command = [objdump, "-D", "-b", "binary", "-marm", "-Mforce-thumb", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    printed = {int(at, 16): name for at, name in re.findall(r"^ +([0-9a-f]+):\t[0-9a-f ]+\t([a-z]\w*)", text, re.M)}
    ours = {operation.address: operation.name for operation in decode(0, code)}
    assert ours.keys() == printed.keys()
    same = {at for at, name in ours.items() if name in _general(printed[at])}
    assert {(ours[at], printed[at]) for at in ours.keys() - same} == set()


def _general(printed: str) -> set[str]:
    """Our names for what objdump prints: without the suffixes for flags, halves and rounding."""
    known = {
        "negs": "rsb", "rsbs": "rsb", "stmia": "stm", "stmdb": "stm", "ldmia": "ldm", "ldmdb": "ldm", "addw": "add",
        "subw": "sub", "ssat16": "ssat", "usat16": "usat", "smlald": "smlal", "smlalbt": "smlal",
    }  # fmt: skip
    if printed in ("mov", "movs"):  # objdump prints some shifts so, as older manuals did
        return {"mov", "lsl", "lsr", "asr", "ror", "rrx", "movw"}
    name = re.sub(r"^(smla|smul)[bt][bt]$", r"\1xy", printed)
    name = re.sub(r"^(smlaw|smulw)[bt]$", r"\1", name)
    name = re.sub(r"^(smmul|smmla|smlad|smuad)[rx]$", r"\1", name)
    return {known.get(printed, name), name.removesuffix("s"), printed}
