"""The emulator's refusals and their texts.

Three kinds of trouble stop a program:

- `HardwareFault`: the chip raises an exception. The emulator enters the firmware's handler, as the chip would, and
  keeps a `EmulatorRefusal` for the host.
- `Misuse`: the chip raises nothing and silently does the wrong thing. For example, a write to a peripheral without its
  clock is lost, and a UART at the wrong rate sends garbage. The emulated board stops.
- `NotModelled`: the chip may do the right thing, but this emulator does not model it. The emulated board stops.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EmulatorRefusal:
    """One refusal, as text for people.

    Attributes:
        what: what the program did.
        why: the rule it broke.
        pc: address of the instruction.
        function: the function of that address, with the offset; "" if the ELF has no symbol for it.
        caller: the same for the link register, which usually is the caller or its caller.
        fault: the exception that the program got, with its status bits; "" if the board stopped.
    """

    what: str
    why: str
    pc: int
    function: str
    caller: str
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the emulator's line on standard output."""
        return asdict(self)

    def __str__(self) -> str:
        where = f" in {self.function}" if self.function else ""
        caller = f", called from near {self.caller}" if self.caller else ""
        fault = f" -> {self.fault}" if self.fault else ""
        return f"{self.what}, at 0x{self.pc:08X}{where}{caller}: {self.why}{fault}"


class Stopping(Exception):
    """Stops the emulated board."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class Misuse(Stopping):
    """The chip would silently do the wrong thing."""


class NotModelled(Stopping):
    """A limit of the emulator, not a fault of the program."""


class HardwareFault(Exception):
    """The chip would raise an exception.

    Args:
        what, why: for the host's diagnosis.
        exception: number of the exception, before escalation.
        status: bits to set in CFSR; in HFSR if `exception` is HardFault itself.
        address: value for BFAR or MMFAR where `status` has BFARVALID or MMARVALID.
    """

    def __init__(self, what: str, why: str, *, exception: int, status: int, address: int = 0) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.exception = exception
        self.status = status
        self.address = address


class ResetRequest(Exception):
    """The firmware asked for a system reset."""


class WatchdogReset(Exception):
    """The firmware made no progress, and the watchdog resets the chip."""
