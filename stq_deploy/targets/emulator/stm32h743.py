"""The STM32H743: its peripherals, their addresses, and how they depend on each other (RM0433 "Memory map")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.bus import Bus
from stq_deploy.targets.emulator.peripherals.axi import AxiInterconnect
from stq_deploy.targets.emulator.peripherals.debug import CoreDebug, Dbgmcu, Dwt
from stq_deploy.targets.emulator.peripherals.flash_interface import FlashInterface
from stq_deploy.targets.emulator.peripherals.gpio import GpioPort
from stq_deploy.targets.emulator.peripherals.iwdg import Iwdg
from stq_deploy.targets.emulator.peripherals.mpu import Mpu
from stq_deploy.targets.emulator.peripherals.nvic import Nvic
from stq_deploy.targets.emulator.peripherals.peripheral import Gate
from stq_deploy.targets.emulator.peripherals.pwr import Pwr
from stq_deploy.targets.emulator.peripherals.rcc import Rcc
from stq_deploy.targets.emulator.peripherals.scb import Scb
from stq_deploy.targets.emulator.peripherals.syscfg import Syscfg
from stq_deploy.targets.emulator.peripherals.systick import SysTick
from stq_deploy.targets.emulator.peripherals.usart import Pin, Usart, Wire

FLASH_ORIGIN = 0x0800_0000
PERIPHERAL_SPACE = ((0x4000_0000, 0x2000_0000), (0xE000_0000, 0x0010_0000))
"""Address and size of the regions that are not memory."""

_SRAM_ENABLES = {0x3002_0000: 29, 0x3004_0000: 30, 0x3004_8000: 31}
"""End of SRAM1, SRAM2, SRAM3, and the bit of RCC_AHB2ENR that clocks it; off after reset."""

_SRAM_ORIGIN = 0x3000_0000
_DEVICE_ID = 0x450
_USART3_INTERRUPT = 39
_OVERDRIVE_REVISIONS = ("X", "V")  # the others stop at 400 MHz
_GPIO_RESET = {  # ports with debug pins, RM0433 "GPIO register map"
    "A": {"MODER": 0xABFF_FFFF, "OSPEEDR": 0x0C00_0000, "PUPDR": 0x6400_0000},
    "B": {"MODER": 0xFFFF_FEBF, "OSPEEDR": 0x0000_00C0, "PUPDR": 0x0000_0100},
}


@dataclass(frozen=True)
class Signals:
    """Callbacks from the peripherals to the core.

    Attributes:
        interrupts_changed: an interrupt may have become pending.
        protection_changed: the MPU or a memory's clock may allow other accesses.
        fpu_enabled: CPACR grants or revokes the FPU.
        executed: instructions executed so far.
        seconds: the time that has passed for peripherals with their own oscillator.
    """

    interrupts_changed: Callable[[], None]
    protection_changed: Callable[[], None]
    fpu_enabled: Callable[[bool], None]
    executed: Callable[[], int]
    seconds: Callable[[], float]


@dataclass(frozen=True)
class Chip:
    """The peripherals that the machine accesses by name."""

    bus: Bus
    rcc: Rcc
    usart: Usart
    nvic: Nvic
    scb: Scb
    mpu: Mpu
    watchdog: Iwdg
    systick: SysTick
    sram_gates: dict[int, Gate]

    def memory_is_clocked(self, address: int) -> bool:
        """Whether the memory at `address` has its clock."""
        for end, gate in self.sram_gates.items():
            if _SRAM_ORIGIN <= address < end:
                return gate.is_on
        return True


def silicon_identity(board: Board, revision: str) -> int:
    """DBGMCU_IDC of a silicon revision.

    Raises:
        StqError: the board does not have the chip and serial port that we emulate, or the chip has no such revision.
    """
    identity = board.identity
    if identity is None or identity.value != _DEVICE_ID or board.serial.peripheral != "USART3":
        raise StqError(
            f"Unicorn cannot emulate board {board.name!r}",
            cause="an STM32H743 with its link on USART3 is all that is modelled",
            next="use a connected board with --port; docs/EMULATOR.md says how to emulate more",
        )
    for number, letter in identity.revisions.items():
        if letter == revision:
            return int(number, 0) << 16 | identity.value
    known = ", ".join(sorted(identity.revisions.values()))
    raise StqError(f"there is no silicon revision {revision!r} of {board.name}", next=f"choose one of: {known}")


def build_chip(board: Board, revision: str, wire: Wire, signals: Signals, reset_flags: int) -> Chip:
    """All peripherals in their reset state.

    Args:
        revision: silicon revision, a letter.
        wire: what USART3 is connected to.
        reset_flags: RCC_RSR after this reset.

    Raises:
        StqError: see `silicon_identity`.
    """
    identity = silicon_identity(board, revision)
    overdrive = revision in _OVERDRIVE_REVISIONS
    rcc = Rcc(
        0x5802_4400,
        hse_hz=board.firmware.constants["hse_hz"],
        reset_flags=reset_flags,
        overdrive_silicon=overdrive,
    )
    rcc.clocks_changed = signals.protection_changed
    pwr = Pwr(0x5802_4800)
    syscfg = Syscfg(
        0x5800_0400,
        rcc.gate("APB4ENR", 1),
        has_overdrive=overdrive,
        is_scale1=lambda: pwr.voltage_scale() <= 1,
    )
    pwr.is_overdriven = syscfg.is_overdriven
    flash = FlashInterface(0x5200_2000, pwr.voltage_scale, lambda: rcc.axi_hz)
    rcc.voltage_scale = pwr.voltage_scale
    rcc.check_flash = flash.check

    ports = {
        letter: GpioPort(f"GPIO{letter}", 0x5802_0000 + 0x400 * index, rcc.gate("AHB4ENR", index))
        for index, letter in enumerate("ABCDEFGHIJK")
    }
    for letter, values in _GPIO_RESET.items():
        ports[letter].values.update(values)

    usart = Usart(
        board.serial.peripheral,
        0x4000_4800,
        rcc.gate("APB1LENR", 18),
        kernel_hz=lambda: rcc.usart3_hz,
        pins=tuple(_pin(ports, name) for name in board.serial.pins.values()),
        wire=wire,
        changed=signals.interrupts_changed,
    )
    nvic = Nvic(0xE000_E100, {_USART3_INTERRUPT: lambda: usart.interrupts}, signals.interrupts_changed)
    scb = Scb(0xE000_E000, vector_table=FLASH_ORIGIN, fpu_enabled=signals.fpu_enabled)
    mpu = Mpu(0xE000_ED90, signals.protection_changed)
    debug = CoreDebug(0xE000_EDF0)
    dwt = Dwt(0xE000_1000, lambda: debug.trace_enabled, signals.executed)
    dbgmcu = Dbgmcu(0x5C00_1000, identity)
    axi = AxiInterconnect(0x5100_0000)
    watchdog = Iwdg("IWDG1", 0x5800_4800, signals.seconds)
    systick = SysTick(0xE000_E000, lambda: rcc.core_hz)
    scb.on_write["ICSR"] = lambda value: _clear_systick(systick, value)
    parts = [rcc, pwr, syscfg, flash, usart, nvic, scb, mpu, debug, dwt, dbgmcu, axi, watchdog, systick]
    bus = Bus([*parts, *ports.values()])
    sram_gates = {end: rcc.gate("AHB2ENR", bit) for end, bit in _SRAM_ENABLES.items()}
    return Chip(bus, rcc, usart, nvic, scb, mpu, watchdog, systick, sram_gates)


def _clear_systick(systick: SysTick, value: int) -> None:
    """A write to ICSR: PENDSTCLR."""
    if value >> 25 & 1:
        systick.pending = False


def _pin(ports: dict[str, GpioPort], name: str) -> Pin:
    """ "PD8" as a pin of USART3, whose alternate function is 7 on all its pins (datasheet, alternate functions)."""
    return Pin(ports[name[1]], int(name[2:]), 7)
