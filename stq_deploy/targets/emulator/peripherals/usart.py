"""USART with FIFOs: RM0433 "Universal synchronous/asynchronous receiver transmitter (USART/UART)".

8N1 by 16-fold oversampling. The transmitter is always ready. Bytes from the host wait in `inbox` and reach the receive
FIFO one FIFO-full at a time (`arrive`). So a program that keeps up with its interrupts loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stq_deploy.targets.emulator.peripherals.gpio import GpioPort
from stq_deploy.targets.emulator.peripherals.peripheral import Gate, Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse

FIFO_BYTES = 16
HIGHEST_BAUD_MISMATCH = 0.03
"""Above this, the last bit of a frame may be sampled too early or too late, and bytes arrive garbled."""

_UE, _RE, _TE, _RXFNEIE, _TCIE, _TXFNFIE, _FIFOEN = (1 << bit for bit in (0, 2, 3, 5, 6, 7, 29))
_RXFNE, _TC, _TXFNF, _TEACK, _REACK, _TXFE = (1 << bit for bit in (5, 6, 7, 21, 22, 23))


@dataclass(frozen=True)
class Pin:
    """A pin the USART needs, and the alternate function that connects it."""

    port: GpioPort
    number: int
    function: int


@dataclass
class Wire:
    """The host's side of the line: set and read by the serial port's thread.

    Attributes:
        inbox: bytes sent by the host that the board has not received yet.
        baud: the rate of the host's port; None while unknown.
        send: takes a byte the board sends.
    """

    inbox: deque[int]
    baud: int | None
    send: Callable[[int], None]


class Usart(Peripheral):
    """One USART on one wire."""

    registers = (
        Register("CR1", 0x00, writable=_UE | _RE | _TE | _RXFNEIE | _TCIE | _TXFNFIE | _FIFOEN),
        Register("CR2", 0x04, writable=0),
        Register("CR3", 0x08, writable=1 << 12),  # OVRDIS: this model has no overruns
        Register("BRR", 0x0C, writable=0xFFFF),
        Register("RQR", 0x18, writable=0, ignored=0x1F),
        Register("ISR", 0x1C, read_only=True),
        Register("ICR", 0x20, writable=0, ignored=0x0012_3BFF),
        Register("RDR", 0x24, read_only=True),
        Register("TDR", 0x28, writable=0x1FF),
        Register("PRESC", 0x2C, writable=0),
    )

    def __init__(
        self,
        name: str,
        base: int,
        gate: Gate,
        *,
        kernel_hz: Callable[[], int],
        pins: tuple[Pin, ...],
        wire: Wire,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name, base, gate)
        self._kernel_hz = kernel_hz
        self._pins = pins
        self._wire = wire
        self._changed = changed
        self._fifo: deque[int] = deque()
        self.on_read.update(ISR=self._read_isr, RDR=self._read_rdr, ICR=lambda: 0, RQR=lambda: 0)
        self.on_write.update(CR1=self._write_cr1, BRR=self._write_brr, TDR=self._write_tdr, RQR=self._write_rqr)
        self._last_cr1 = 0
        self._line_is_right = False

    @property
    def baud(self) -> float:
        """Bits per second, from the kernel clock and BRR."""
        divider = self.values["BRR"]
        if divider < 16:
            raise Misuse(f"{self.name}_BRR is {divider}", "the divider must be at least 16")
        return self._kernel_hz() / divider

    @property
    def is_receiving(self) -> bool:
        """Whether the receiver is on."""
        return self.values["CR1"] & (_UE | _RE) == _UE | _RE

    @property
    def has_arrivals(self) -> bool:
        """Whether `arrive` would put bytes into the FIFO."""
        return bool(self._wire.inbox) and not self._fifo and self.is_receiving

    @property
    def interrupts_on_arrival(self) -> bool:
        """Whether an arriving byte raises the interrupt line; otherwise the program polls for bytes."""
        return bool(self.values["CR1"] & _RXFNEIE)

    @property
    def interrupts(self) -> bool:
        """Level of the interrupt line."""
        control = self.values["CR1"]
        return bool(
            (control & _RXFNEIE and self._fifo) or (control & _UE and control & _TE and control & (_TCIE | _TXFNFIE))
        )

    def arrive(self) -> None:
        """Let the next bytes from the host arrive, as many as the FIFO holds, if it is empty.

        Raises:
            Misuse: the host's baud rate differs, or a pin is not connected.
        """
        if not self.has_arrivals:
            return
        self._check_line()
        room = FIFO_BYTES if self.values["CR1"] & _FIFOEN else 1
        inbox = self._wire.inbox
        self._fifo.extend(inbox.popleft() for _ in range(min(room, len(inbox))))

    def _check_line(self) -> None:
        for pin in self._pins:
            if pin.port.alternate_function(pin.number) != pin.function:
                raise Misuse(
                    f"{self.name} is used without pin {pin.port.name}.{pin.number}",
                    f"{pin.port.name}_MODER and AFR must give that pin to alternate function {pin.function}",
                )
        self._line_is_right = True  # until settings change or the host sends again
        theirs = self._wire.baud
        if theirs and abs(self.baud / theirs - 1) > HIGHEST_BAUD_MISMATCH:
            raise Misuse(
                f"{self.name} runs at {self.baud:.0f} baud, the host's port at {theirs}",
                f"kernel clock {self._kernel_hz() / 1e6:g} MHz divided by BRR = {self.values['BRR']}; "
                f"more than {HIGHEST_BAUD_MISMATCH:.0%} apart gives garbled bytes",
            )

    def _read_isr(self) -> int:
        self._before_polling()
        control = self.values["CR1"]
        value = _TC | _TXFNF | _TXFE
        if self._fifo:
            value |= _RXFNE
        if control & _UE and control & _TE:
            value |= _TEACK
        if control & _UE and control & _RE:
            value |= _REACK
        return value

    def _before_polling(self) -> None:
        """A program without receive interrupts gets its bytes when it polls."""
        if not self.interrupts_on_arrival:
            self.arrive()

    def _read_rdr(self) -> int:
        return self._fifo.popleft() if self._fifo else 0

    def _write_tdr(self, value: int) -> None:
        if self.values["CR1"] & (_UE | _TE) != _UE | _TE:
            raise Misuse(f"{self.name}_TDR is written while the transmitter is off", "CR1.UE and CR1.TE must be 1")
        if not self._line_is_right:
            self._check_line()
        self._wire.send(value & 0xFF)

    def _write_cr1(self, value: int) -> None:
        changed, self._last_cr1 = value ^ self._last_cr1, value
        if changed & _FIFOEN and value & _UE and not changed & _UE:
            raise Misuse(f"{self.name}_CR1.FIFOEN is changed while UE is 1", "it may only be written while UE is 0")
        if changed & _UE:
            self._fifo.clear()
            if value & _UE:
                _ = self.baud
        self._line_is_right = False
        self._changed()

    def _write_brr(self, value: int) -> None:
        if self.values["CR1"] & _UE:
            raise Misuse(f"{self.name}_BRR is written while UE is 1", "it may only be written while UE is 0")

    def _write_rqr(self, value: int) -> None:
        if value & 1 << 3:  # RXFRQ
            self._fifo.clear()
