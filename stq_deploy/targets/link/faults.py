"""A crash of the firmware: the processor's registers, in words.

Bits of CFSR and HFSR: Armv7-M Architecture Reference Manual (DDI 0403), B3.2.15 and B3.2.16.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.messages import AnswerError

Locate = Callable[[int], str | None]
"""Code address -> name of its function, if known."""

_RECORD = struct.Struct("<15Ii")
_BFAR_VALID = 1 << 15
_MMFAR_VALID = 1 << 7

_CFSR = {
    0: "instruction fetch from a forbidden address (IACCVIOL)",
    1: "data access to a forbidden address (DACCVIOL)",
    3: "forbidden address while returning from an exception (MUNSTKERR)",
    4: "forbidden address while entering an exception: stack overflow? (MSTKERR)",
    5: "forbidden address while saving FPU registers (MLSPERR)",
    8: "bus error on an instruction fetch (IBUSERR)",
    9: "bus error on the data access at pc (PRECISERR)",
    10: "bus error on an earlier data access, pc is behind it (IMPRECISERR)",
    11: "bus error while returning from an exception (UNSTKERR)",
    12: "bus error while entering an exception: stack overflow? (STKERR)",
    13: "bus error while saving FPU registers (LSPERR)",
    16: "undefined instruction (UNDEFINSTR)",
    17: "jump to an address without the Thumb bit (INVSTATE)",
    18: "invalid return from an exception (INVPC)",
    19: "FPU instruction while the FPU is off (NOCP)",
    24: "unaligned access (UNALIGNED)",
    25: "division by zero (DIVBYZERO)",
}
_HFSR = {
    1: "bus error reading the vector table (VECTTBL)",
    31: "breakpoint without a debugger (DEBUGEVT)",
}
_EXCEPTIONS = {0: "reset by the watchdog", 2: "NMI", 3: "HardFault", 4: "MemManage", 5: "BusFault", 6: "UsageFault"}


@dataclass(frozen=True)
class FaultRecord:
    """Registers at a fault, all 32 bits; `layer` is the index of the layer that was running, or -1."""

    r0: int
    r1: int
    r2: int
    r3: int
    r12: int
    lr: int
    pc: int
    xpsr: int
    sp: int
    exc_return: int
    exception: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    layer: int

    @property
    def kind(self) -> str:
        """Name of the exception."""
        return _EXCEPTIONS.get(self.exception, f"exception {self.exception}")

    @property
    def reasons(self) -> list[str]:
        """The fault status registers in words, with addresses where they are valid."""
        reasons = [words for bit, words in _CFSR.items() if self.cfsr >> bit & 1]
        reasons += [words for bit, words in _HFSR.items() if self.hfsr >> bit & 1]
        if self.cfsr & _BFAR_VALID:
            reasons.append(f"at address {self.bfar:#010x}")
        if self.cfsr & _MMFAR_VALID:
            reasons.append(f"at address {self.mmfar:#010x}")
        return reasons


class BoardFault(StqError):
    """The firmware crashed. `record` has the registers."""

    def __init__(
        self,
        record: FaultRecord,
        *,
        where: str,
        locate: Locate | None = None,
        layer_names: Sequence[str] = (),
    ) -> None:
        self.record = record
        pc, lr = _place(record.pc, locate), _place(record.lr & ~1, locate)
        doing = describe_layer(record.layer, layer_names)
        lines = [f"the firmware crashed with a {record.kind} {doing}, at {pc}, called from {lr}"]
        lines.append("  " + ("; ".join(record.reasons) or "the fault status registers name no reason"))
        lines.append("  " + _registers(record))
        super().__init__(
            "\n".join(lines),
            where=where,
            cause="a bug in the firmware, a stack overflow, or a board that does not match the image",
            next="run `stq-deploy verify` on the same model; if that passes, report this message",
        )


def parse_fault(payload: bytes) -> FaultRecord:
    """A FAULT frame's payload, or the answer to LAST_FAULT.

    Raises:
        AnswerError: wrong length.
    """
    if len(payload) != _RECORD.size:
        raise AnswerError(f"a fault record has {len(payload)} bytes, {_RECORD.size} were expected")
    return FaultRecord(*_RECORD.unpack(payload))


def _place(address: int, locate: Locate | None) -> str:
    name = locate(address) if locate else None
    return f"{address:#010x} ({name})" if name else f"{address:#010x}"


def describe_layer(layer: int, names: Sequence[str]) -> str:
    """Where the firmware was, by the index of the layer that ran, or -1."""
    if layer < 0:
        return "outside the network"
    return f"in layer {layer} ({names[layer]})" if layer < len(names) else f"in layer {layer}"


def _registers(record: FaultRecord) -> str:
    shown = (
        "r0",
        "r1",
        "r2",
        "r3",
        "r12",
        "lr",
        "pc",
        "xpsr",
        "sp",
        "exc_return",
        "cfsr",
        "hfsr",
        "mmfar",
        "bfar",
    )
    return " ".join(f"{name}={getattr(record, name):08x}" for name in shown)
