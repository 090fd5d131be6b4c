"""32-bit Thumb instructions (ARMv7-M ARM, A5.3)."""

from __future__ import annotations

from stq_deploy.cycles.encoding import listed, signed
from stq_deploy.cycles.operation import FLAGS, FPU_REGISTER, LINK, PROGRAM, CoreUnit, Early, Operation
from stq_deploy.targets.emulator.instructions import Instruction, uses_fpu

_DATA = {
    0: "and", 1: "bic", 2: "orr", 3: "orn", 4: "eor", 8: "add", 10: "adc", 11: "sbc", 13: "sub", 14: "rsb",
}  # fmt: skip
_TESTS = {0: "tst", 4: "teq", 8: "cmn", 13: "cmp"}
_ADDS = ("add", "sub", "rsb", "mov")
"""What the early ALU of a Cortex-M7 may take, unless its operand is shifted."""
_EXTENSIONS = {0: "sxth", 1: "uxth", 2: "sxtb16", 3: "uxtb16", 4: "sxtb", 5: "uxtb"}
_EXTENSIONS_ADDED = {0: "sxtah", 1: "uxtah", 2: "sxtab16", 3: "uxtab16", 4: "sxtab", 5: "uxtab"}
_LANES = {0: "add8", 1: "add16", 2: "asx", 4: "sub8", 5: "sub16", 6: "sax"}
_LANE_PREFIXES = {0: "s", 1: "q", 2: "sh", 4: "u", 5: "uq", 6: "uh"}
_BIT_OPERATIONS = {0: "rev", 1: "rev16", 2: "rbit", 3: "revsh"}
_SIZES = {0: ("b", 1), 1: ("h", 2), 2: ("", 4)}
_BY_32 = {0: "mla", 1: "smlaxy", 2: "smlad", 3: "smlaw", 4: "smlsd", 5: "smmla", 6: "smmls", 7: "usada8"}
_BY_32_ALONE = {0: "mul", 1: "smulxy", 2: "smuad", 3: "smulw", 4: "smusd", 5: "smmul", 7: "usad8"}
"""The same without an accumulator."""
_LONG = {0: "smull", 2: "umull", 4: "smlal", 5: "smlsld", 6: "umlal"}


def decode(instruction: Instruction) -> Operation:
    """The operation of a 32-bit instruction."""
    at, first, second = instruction.address, instruction.first, instruction.second
    if uses_fpu(first, second):
        return _floating_point(at, first, second)
    group = first >> 11 & 3
    if group == 1:
        if first & 0x0400:
            return _unknown(at)
        if first & 0x0200:
            return _shifted_register(at, first, second)
        return _pair(at, first, second) if first & 0x0040 else _several(at, first, second)
    if group == 2:
        if second & 0x8000:
            return _branch(at, first, second)
        return _plain_constant(at, first, second) if first & 0x0200 else _constant(at, first, second)
    kind = first >> 8 & 0xF
    if kind < 10:
        return _single(at, first, second)
    if kind == 10:
        return _on_registers(at, first, second)
    if kind == 11:
        return _long_multiplication(at, first, second) if first & 0x80 else _multiplication(at, first, second)
    return _unknown(at)


def _unknown(at: int) -> Operation:
    return Operation(at, 4, "?", CoreUnit.OTHER)


def _several(at: int, first: int, second: int) -> Operation:
    """LDM, STM, PUSH, POP."""
    base, registers = first & 0xF, tuple(listed(second))
    written = base if first & 0x20 else -1
    if first & 0x10:
        return Operation(
            at, 4, "ldm", CoreUnit.LOAD_MANY, early=(base,), results=registers, base=written, access=4,
            words=len(registers),
        )  # fmt: skip
    return Operation(
        at, 4, "stm", CoreUnit.STORE_MANY, early=(base,), stored=registers, base=written, access=4, words=len(registers)
    )


def _pair(at: int, first: int, second: int) -> Operation:
    """LDRD, STRD, table branches; the exclusive ones have no rule."""
    base, registers = first & 0xF, (second >> 12, second >> 8 & 0xF)
    if first & 0x0120:
        written = base if first & 0x20 else -1
        if first & 0x10:
            return Operation(
                at, 4, "ldrd", CoreUnit.LOAD_MANY, early=(base,), results=registers, base=written, access=4, words=2
            )
        return Operation(
            at, 4, "strd", CoreUnit.STORE_MANY, early=(base,), stored=registers, base=written, access=4, words=2
        )
    if first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000:
        size = 2 if second & 0x10 else 1
        return Operation(
            at, 4, "tbh" if size == 2 else "tbb", CoreUnit.BRANCH, early=(base, second & 0xF), access=size, words=1
        )
    return _unknown(at)


def _shifted_register(at: int, first: int, second: int) -> Operation:
    code, sets = first >> 5 & 0xF, bool(first & 0x10)
    left, destination, right = first & 0xF, second >> 8 & 0xF, second & 0xF
    amount = second >> 10 & 0x1C | second >> 6 & 3
    kind = second >> 4 & 3
    if code == 6:
        name = "pkhtb" if second & 0x20 else "pkhbt"
        early = (left, right) if name == "pkhtb" else (right,)
        late = () if name == "pkhtb" else (left,)
        return Operation(at, 4, name, CoreUnit.DSP, late=late, early=early, results=(destination,), is_bit_move=True)
    if code not in _DATA:
        return _unknown(at)
    flags = (FLAGS,) if sets else ()
    if code == 2 and left == PROGRAM:  # MOV and the shifts that are written as MOV
        if not amount and not kind:
            return Operation(
                at, 4, "mov", CoreUnit.ALU, late=(right,), results=(destination, *flags), takes_early=Early.OLDER
            )
        rotates_flags = kind == 3 and not amount
        name = "rrx" if rotates_flags else ("lsl", "lsr", "asr", "ror")[kind]
        return Operation(
            at, 4, name, CoreUnit.SHIFT, late=(right, *((FLAGS,) if rotates_flags else ())),
            results=(destination, *flags), takes_early=Early.NEVER if rotates_flags else Early.EITHER,
        )  # fmt: skip
    shifted = bool(amount or kind)
    name, lefts, results = _named(code, left, destination, flags)
    if name in ("adc", "sbc"):
        lefts = (*lefts, FLAGS)
    return Operation(
        at, 4, name, CoreUnit.ALU, late=lefts if shifted else (*lefts, right), early=(right,) if shifted else (),
        results=results, is_shifted=shifted, takes_early=_early(name, shifted),
    )  # fmt: skip


def _named(
    code: int, left: int, destination: int, flags: tuple[int, ...]
) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """(name, left operands, results) of data processing: comparisons have no destination, moves no left operand."""
    if destination == PROGRAM and flags and code in _TESTS:
        return _TESTS[code], (left,), flags
    if left == PROGRAM and code in (2, 3):
        return ("mov" if code == 2 else "mvn"), (), (destination, *flags)
    return _DATA[code], (left,), (destination, *flags)


def _early(name: str, shifted: bool) -> Early:
    return Early.OLDER if name in _ADDS and not shifted else Early.NEVER


def _constant(at: int, first: int, second: int) -> Operation:
    """Data processing with a constant of a pattern or a rotated byte (A5.3.2)."""
    code = first >> 5 & 0xF
    if code not in _DATA:
        return _unknown(at)
    flags = (FLAGS,) if first & 0x10 else ()
    shifted = bool(first & 0x0400 or second & 0x4000)
    name, late, results = _named(code, first & 0xF, second >> 8 & 0xF, flags)
    if name in ("adc", "sbc"):
        late = (*late, FLAGS)
    return Operation(
        at, 4, name, CoreUnit.ALU, late=late, results=results, is_shifted=shifted, takes_early=_early(name, shifted)
    )


def _plain_constant(at: int, first: int, second: int) -> Operation:
    code, source, destination = first >> 4 & 0x1F, first & 0xF, second >> 8 & 0xF
    if code in (0, 10):
        name = "sub" if code else "add"
        return Operation(at, 4, name, CoreUnit.ALU, late=(source,), results=(destination,), takes_early=Early.OLDER)
    if code in (4, 12):
        late = (destination,) if code == 12 else ()
        name = "movt" if code == 12 else "movw"
        return Operation(at, 4, name, CoreUnit.ALU, late=late, results=(destination,), takes_early=Early.OLDER)
    if code in (16, 18, 24, 26):
        name = "ssat" if code < 24 else "usat"
        return Operation(at, 4, name, CoreUnit.DSP, early=(source,), results=(destination,))
    if code in (20, 28):
        name = "sbfx" if code == 20 else "ubfx"
        return Operation(at, 4, name, CoreUnit.DSP, early=(source,), results=(destination,), is_bit_move=True)
    if code == 22:
        clears = source == PROGRAM
        return Operation(
            at, 4, "bfc" if clears else "bfi", CoreUnit.DSP, late=(destination,), early=() if clears else (source,),
            results=(destination,), is_bit_move=True,
        )  # fmt: skip
    return _unknown(at)


def _branch(at: int, first: int, second: int) -> Operation:
    sign, low = first >> 10 & 1, second & 0x7FF
    ones = [1 - (second >> bit & 1 ^ sign) for bit in (13, 11)]
    if second & 0x4000 or second & 0x1000:  # BL, B.W: 24 bits of distance
        distance = signed(sign << 23 | ones[0] << 22 | ones[1] << 21 | (first & 0x3FF) << 11 | low, 24) * 2
        links = bool(second & 0x4000)
        return Operation(
            at, 4, "bl" if links else "b", CoreUnit.BRANCH, results=(LINK,) if links else (), target=at + 4 + distance
        )
    if first >> 7 & 7 != 7:
        high = sign << 19 | (second >> 11 & 1) << 18 | (second >> 13 & 1) << 17 | (first & 0x3F) << 11
        return Operation(at, 4, "b<c>", CoreUnit.BRANCH, late=(FLAGS,), target=at + 4 + signed(high | low, 20) * 2)
    if first & 0xFFF0 == 0xF3A0 and second & 0xFF00 == 0x8000:
        return Operation(at, 4, "nop", CoreUnit.NOP)
    return _unknown(at)


def _single(at: int, first: int, second: int) -> Operation:
    """Load or store of a byte, halfword or word."""
    base, register = first & 0xF, second >> 12
    size_code = first >> 5 & 3
    if size_code not in _SIZES:
        return _unknown(at)
    suffix, size = _SIZES[size_code]
    addresses: tuple[int, ...] = (base,)
    written, offset = -1, None
    if base != PROGRAM and first & 0x80:
        offset = second & 0xFFF
    elif base != PROGRAM and second & 0x0800:
        written = base if second & 0x0100 else -1
        is_before, is_up = second & 0x0400, second & 0x0200
        offset = (second & 0xFF) * (1 if is_up else -1) if is_before else 0
    elif base != PROGRAM:
        addresses = (base, second & 0xF)
    if first & 0x10:
        if register == PROGRAM and size != 4:
            return Operation(at, 4, "pld", CoreUnit.NOP)
        name = "ldr" + ("s" if first & 0x0100 else "") + suffix
        return Operation(
            at, 4, name, CoreUnit.LOAD, early=addresses, results=(register,), base=written, access=size, words=1,
            offset=offset,
        )  # fmt: skip
    return Operation(
        at, 4, "str" + suffix, CoreUnit.STORE, early=addresses, stored=(register,), base=written, access=size, words=1,
        offset=offset,
    )  # fmt: skip


def _on_registers(at: int, first: int, second: int) -> Operation:
    """Shifts by a register, extension, lanes and the rest of A5.3.12 to A5.3.15."""
    high, low = first >> 4 & 0xF, second >> 4 & 0xF
    left, destination, right = first & 0xF, second >> 8 & 0xF, second & 0xF
    if high < 8 and not low:
        name = ("lsl", "lsr", "asr", "ror")[high >> 1]
        flags = (FLAGS,) if high & 1 else ()
        return Operation(
            at, 4, name, CoreUnit.SHIFT, late=(left, right), results=(destination, *flags), takes_early=Early.EITHER
        )
    if high < 8 and low >= 8 and high in _EXTENSIONS:
        adds = left != PROGRAM
        name = (_EXTENSIONS_ADDED if adds else _EXTENSIONS)[high]
        late = (left,) if adds else ()
        return Operation(at, 4, name, CoreUnit.DSP, late=late, early=(right,), results=(destination,), is_bit_move=True)
    if high >= 8 and low < 8 and high & 7 in _LANES and low in _LANE_PREFIXES:
        name = _LANE_PREFIXES[low] + _LANES[high & 7]
        flags = (FLAGS,) if name[:1] in "su" and low in (0, 4) else ()  # GE
        return Operation(at, 4, name, CoreUnit.DSP, late=(left, right), results=(destination, *flags))
    if high == 8 and 8 <= low < 12:
        name = ("qadd", "qdadd", "qsub", "qdsub")[low & 3]
        return Operation(at, 4, name, CoreUnit.DSP, late=(left, right), results=(destination,))
    if high == 9 and 8 <= low < 12:
        return Operation(
            at, 4, _BIT_OPERATIONS[low & 3], CoreUnit.DSP, early=(right,), results=(destination,), is_bit_move=True,
            takes_early=Early.ALWAYS,
        )  # fmt: skip
    if high == 10 and low == 8:
        return Operation(at, 4, "sel", CoreUnit.DSP, late=(left, right, FLAGS), results=(destination,))
    if high == 11 and low == 8:
        return Operation(at, 4, "clz", CoreUnit.DSP, late=(right,), results=(destination,))
    return _unknown(at)


def _multiplication(at: int, first: int, second: int) -> Operation:
    """32-bit results: MUL, MLA, SMLAD and the like."""
    code, left, right = first >> 4 & 7, first & 0xF, second & 0xF
    added, destination = second >> 12, second >> 8 & 0xF
    name = _BY_32[code]
    if added == PROGRAM and code in _BY_32_ALONE and not (code == 0 and second & 0x10):
        return Operation(at, 4, _BY_32_ALONE[code], CoreUnit.MAC, late=(left, right), results=(destination,))
    if code == 0 and second & 0x10:
        name = "mls"
    return Operation(at, 4, name, CoreUnit.MAC, late=(left, right), added=(added,), results=(destination,))


def _long_multiplication(at: int, first: int, second: int) -> Operation:
    """64-bit results, and division."""
    code, left, right = first >> 4 & 7, first & 0xF, second & 0xF
    low, high = second >> 12, second >> 8 & 0xF
    if code in (1, 3):
        return Operation(at, 4, "udiv" if code == 3 else "sdiv", CoreUnit.DIVIDE, late=(left, right), results=(high,))
    if code not in _LONG:
        return _unknown(at)
    added = (low, high) if code >= 4 else ()
    name = "umaal" if code == 6 and second & 0x40 else _LONG[code]
    return Operation(at, 4, name, CoreUnit.MAC, late=(left, right), added=added, results=(low, high))


def _floating_point(at: int, first: int, second: int) -> Operation:
    """VLDR, VSTR, VLDM, VSTM; everything else as one operation on the registers that its encoding names."""
    is_double = bool(second & 0x100)
    base, count = first & 0xF, second & 0xFF
    if first & 0xFE00 == 0xEC00 and first & 0x01A0:
        single = first & 0x0120 == 0x0100
        words = (2 if is_double else 1) if single else max(count, 1)
        start = _fpu_number(second >> 12, first >> 6 & 1, is_double)
        registers = tuple(start + i for i in range(words))
        written = base if not single and first & 0x20 else -1
        loads = bool(first & 0x10)
        unit = {(True, True): CoreUnit.LOAD, (True, False): CoreUnit.STORE, (False, True): CoreUnit.LOAD_MANY}.get(
            (words == 1, loads), CoreUnit.STORE_MANY
        )
        if loads:
            return Operation(at, 4, "vldr", unit, early=(base,), results=registers, base=written, access=4, words=words)
        return Operation(at, 4, "vstr", unit, early=(base,), stored=registers, base=written, access=4, words=words)
    destination = _fpu_number(second >> 12, first >> 6 & 1, is_double)
    sources = (
        _fpu_number(first & 0xF, second >> 7 & 1, is_double),
        _fpu_number(second & 0xF, second >> 5 & 1, is_double),
    )
    core = second >> 12 if first & 0xFF00 == 0xEE00 and second & 0x10 else -1  # VMOV to and from a core register
    if core >= 0:
        if first & 0x10:
            result = FLAGS if core == PROGRAM else core  # VMRS
            return Operation(at, 4, "vmov", CoreUnit.FPU, late=sources[:1], results=(result,))
        return Operation(at, 4, "vmov", CoreUnit.FPU, late=(core,), results=sources[:1])
    return Operation(at, 4, "vfp", CoreUnit.FPU, late=(*sources, destination), results=(destination,))


def _fpu_number(four: int, one: int, is_double: bool) -> int:
    return FPU_REGISTER + ((one << 4 | four) * 2 if is_double else four << 1 | one)
