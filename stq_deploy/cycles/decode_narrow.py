"""16-bit Thumb instructions (ARMv7-M ARM, A5.2)."""

from __future__ import annotations

from stq_deploy.cycles.encoding import listed, signed
from stq_deploy.cycles.operation import FLAGS, LINK, PROGRAM, STACK, CoreUnit, Early, Operation
from stq_deploy.targets.emulator.instructions import Instruction

_DATA = (
    "and", "eor", "lsl", "lsr", "asr", "adc", "sbc", "ror", "tst", "rsb", "cmp", "cmn", "orr", "mul", "bic", "mvn",
)  # fmt: skip
_STORES_BY_REGISTER = {0: ("str", 4), 1: ("strh", 2), 2: ("strb", 1)}
_LOADS_BY_REGISTER = {3: ("ldrsb", 1), 4: ("ldr", 4), 5: ("ldrh", 2), 6: ("ldrb", 1), 7: ("ldrsh", 2)}
_LOADS_AND_STORES = {
    0x6000: ("str", 4), 0x6800: ("ldr", 4), 0x7000: ("strb", 1), 0x7800: ("ldrb", 1), 0x8000: ("strh", 2),
    0x8800: ("ldrh", 2),
}  # fmt: skip


def decode(instruction: Instruction) -> Operation:
    """The operation of a 16-bit instruction."""
    first = instruction.first
    if first < 0x4000:
        return _arithmetic(instruction.address, first)
    if first < 0x4800:
        return _register(instruction.address, first)
    if first < 0xB000:
        return _memory(instruction.address, first)
    if first < 0xC000:
        return _miscellaneous(instruction.address, first)
    if first < 0xD000:
        return _several(instruction.address, first)
    return _branch(instruction.address, first)


def _arithmetic(at: int, first: int) -> Operation:
    """Shifts by a constant; ADD, SUB, MOV, CMP with a constant or three registers. All set the flags."""
    low, middle = first & 7, first >> 3 & 7
    kind = first >> 11
    if kind < 3:
        moves = kind == 0 and not first >> 6 & 0x1F  # LSL #0 is MOV
        return Operation(
            at, 2, "mov" if moves else ("lsl", "lsr", "asr")[kind], CoreUnit.ALU if moves else CoreUnit.SHIFT,
            late=(middle,), results=(low, FLAGS), takes_early=Early.OLDER if moves else Early.EITHER,
        )  # fmt: skip
    if kind == 3:
        name = "sub" if first & 0x0200 else "add"
        sources = (middle,) if first & 0x0400 else (middle, first >> 6 & 7)
        return Operation(at, 2, name, CoreUnit.ALU, late=sources, results=(low, FLAGS), takes_early=Early.OLDER)
    register = first >> 8 & 7
    name = ("mov", "cmp", "add", "sub")[kind - 4]
    return Operation(
        at, 2, name, CoreUnit.ALU, late=() if name == "mov" else (register,),
        results=(FLAGS,) if name == "cmp" else (register, FLAGS),
        takes_early=Early.NEVER if name == "cmp" else Early.OLDER,
    )  # fmt: skip


def _register(at: int, first: int) -> Operation:
    """Data processing on registers; ADD, CMP and MOV on high registers; BX and BLX."""
    if first < 0x4400:
        return _data_processing(at, _DATA[first >> 6 & 0xF], first & 7, first >> 3 & 7)
    destination, source = first & 7 | first >> 4 & 8, first >> 3 & 0xF
    kind = first >> 8 & 3
    if kind == 3:
        links = bool(first & 0x80)
        return Operation(
            at, 2, "blx" if links else "bx", CoreUnit.BRANCH, late=(source,), results=(LINK,) if links else ()
        )
    name = ("add", "cmp", "mov")[kind]
    if name == "cmp":
        return Operation(at, 2, name, CoreUnit.ALU, late=(destination, source), results=(FLAGS,))
    sources = (destination, source) if name == "add" else (source,)
    return Operation(at, 2, name, CoreUnit.ALU, late=sources, results=(destination,), takes_early=Early.OLDER)


def _data_processing(at: int, name: str, destination: int, source: int) -> Operation:
    if name in ("tst", "cmp", "cmn"):
        return Operation(at, 2, name, CoreUnit.ALU, late=(destination, source), results=(FLAGS,))
    results = (destination, FLAGS)
    if name == "mul":
        return Operation(at, 2, name, CoreUnit.MAC, late=(destination, source), results=results)
    if name in ("rsb", "mvn"):
        early = Early.OLDER if name == "rsb" else Early.NEVER
        return Operation(at, 2, name, CoreUnit.ALU, late=(source,), results=results, takes_early=early)
    if name in ("lsl", "lsr", "asr", "ror"):
        late = (destination, source)
        return Operation(at, 2, name, CoreUnit.SHIFT, late=late, results=results, takes_early=Early.EITHER)
    carry = (FLAGS,) if name in ("adc", "sbc") else ()
    return Operation(at, 2, name, CoreUnit.ALU, late=(destination, source, *carry), results=results)


def _memory(at: int, first: int) -> Operation:
    """Loads and stores of one register, and the addresses of ADR and ADD SP."""
    low, base = first & 7, first >> 3 & 7
    if first < 0x5000:  # LDR from the literal pool
        return _load(at, "ldr", 4, first >> 8 & 7, (PROGRAM,))
    if first < 0x6000:
        addresses, kind = (base, first >> 6 & 7), first >> 9 & 7
        if kind in _STORES_BY_REGISTER:
            return _store(at, *_STORES_BY_REGISTER[kind], low, addresses)
        return _load(at, *_LOADS_BY_REGISTER[kind], low, addresses)
    if first < 0x9000:
        name, size = _LOADS_AND_STORES[first & 0xF800]
        offset = (first >> 6 & 0x1F) * size
        return (_load if name.startswith("ldr") else _store)(at, name, size, low, (base,), offset)
    register = first >> 8 & 7
    if first < 0xA000:  # relative to the stack pointer
        loads = bool(first & 0x0800)
        offset = (first & 0xFF) * 4
        return (_load if loads else _store)(at, "ldr" if loads else "str", 4, register, (STACK,), offset)
    source = STACK if first & 0x0800 else PROGRAM
    return Operation(at, 2, "add", CoreUnit.ALU, late=(source,), results=(register,), takes_early=Early.OLDER)


def _load(
    at: int, name: str, size: int, register: int, addresses: tuple[int, ...], offset: int | None = None
) -> Operation:
    return Operation(
        at, 2, name, CoreUnit.LOAD, early=addresses, results=(register,), access=size, words=1, offset=offset
    )


def _store(
    at: int, name: str, size: int, register: int, addresses: tuple[int, ...], offset: int | None = None
) -> Operation:
    return Operation(
        at, 2, name, CoreUnit.STORE, early=addresses, stored=(register,), access=size, words=1, offset=offset
    )


def _miscellaneous(at: int, first: int) -> Operation:
    kind = first >> 8 & 0xF
    low, source = first & 7, first >> 3 & 7
    if kind == 0:
        name = "sub" if first & 0x80 else "add"
        return Operation(at, 2, name, CoreUnit.ALU, late=(STACK,), results=(STACK,), takes_early=Early.OLDER)
    if kind & 5 == 1:  # CBZ, CBNZ
        distance = (first >> 3 & 0x1F) << 1 | (first >> 9 & 1) << 6
        name = "cbnz" if first & 0x0800 else "cbz"
        return Operation(at, 2, name, CoreUnit.BRANCH, late=(low,), target=at + 4 + distance)
    if kind == 2:
        name = ("sxth", "sxtb", "uxth", "uxtb")[first >> 6 & 3]
        return Operation(at, 2, name, CoreUnit.DSP, early=(source,), results=(low,), is_bit_move=True)
    if kind in (4, 5):  # PUSH
        registers = (*listed(first & 0xFF), *((LINK,) if first & 0x100 else ()))
        return _store_many(at, "push", registers, STACK)
    if kind == 10:
        name = {0: "rev", 1: "rev16", 3: "revsh"}.get(first >> 6 & 3, "")
        if name:
            return Operation(
                at, 2, name, CoreUnit.DSP, early=(source,), results=(low,), is_bit_move=True, takes_early=Early.ALWAYS
            )
    if kind in (12, 13):  # POP
        registers = (*listed(first & 0xFF), *((PROGRAM,) if first & 0x100 else ()))
        return _load_many(at, "pop", registers, STACK)
    if kind == 15:
        return Operation(at, 2, "it", CoreUnit.IT) if first & 0xF else Operation(at, 2, "nop", CoreUnit.NOP)
    return Operation(at, 2, "?", CoreUnit.OTHER)


def _several(at: int, first: int) -> Operation:
    registers, base = tuple(listed(first & 0xFF)), first >> 8 & 7
    if first & 0x0800:
        return _load_many(at, "ldm", registers, -1 if base in registers else base, base)
    return _store_many(at, "stm", registers, base)


def _load_many(at: int, name: str, registers: tuple[int, ...], written: int, base: int = STACK) -> Operation:
    base = base if written < 0 else written
    return Operation(
        at, 2, name, CoreUnit.LOAD_MANY, early=(base,), results=registers, base=written, access=4, words=len(registers)
    )


def _store_many(at: int, name: str, registers: tuple[int, ...], base: int) -> Operation:
    return Operation(
        at, 2, name, CoreUnit.STORE_MANY, early=(base,), stored=registers, base=base, access=4, words=len(registers)
    )


def _branch(at: int, first: int) -> Operation:
    if first >= 0xE000:
        return Operation(at, 2, "b", CoreUnit.BRANCH, target=at + 4 + signed(first & 0x7FF, 11) * 2)
    if first >> 8 & 0xF >= 14:  # UDF, SVC
        return Operation(at, 2, "?", CoreUnit.OTHER)
    return Operation(at, 2, "b<c>", CoreUnit.BRANCH, late=(FLAGS,), target=at + 4 + signed(first & 0xFF, 8) * 2)
