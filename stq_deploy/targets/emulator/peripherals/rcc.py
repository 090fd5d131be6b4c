"""Reset and clock control: RM0433 "Reset and clock control (RCC)".

An oscillator is ready as soon as it is on. Every change of the clock tree is checked against the voltage scale and the
flash's wait states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stq_deploy.targets.emulator.peripherals.peripheral import Gate, Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse, NotModelled

HSI_HZ = 64_000_000
MHZ = 1_000_000

RESET_BY_POWER = 0x00E8_0000  # PORRSTF, PINRSTF, BORRSTF, D1RSTF
RESET_BY_SOFTWARE = 0x0142_0000  # SFTRSTF, PINRSTF, CPURSTF
RESET_BY_WATCHDOG = 0x0442_0000  # IWDG1RSTF, PINRSTF, CPURSTF

_HSI_ON, _HSI_READY = 1 << 0, 1 << 2
_CSI_ON, _CSI_READY = 1 << 7, 1 << 8
_HSE_ON, _HSE_READY, _HSE_BYPASS = 1 << 16, 1 << 17, 1 << 18
_PLL1_ON, _PLL1_READY = 1 << 24, 1 << 25
_READY_OF = {_HSI_ON: _HSI_READY, _CSI_ON: _CSI_READY, _HSE_ON: _HSE_READY, _PLL1_ON: _PLL1_READY}
_ALL_READY = _HSI_READY | _CSI_READY | _HSE_READY | _PLL1_READY | 1 << 5 | 1 << 14 | 1 << 15

_PLL1_INPUT_RANGES = ((1, 2), (2, 4), (4, 8), (8, 16))  # MHz, by PLL1RGE
_CLOCK_LIMITS = {  # voltage scale: core, AXI and AHB, APB in MHz; datasheet "General operating conditions"
    0: (480, 240, 120),
    1: (400, 200, 100),
    2: (300, 150, 75),
    3: (200, 100, 50),
}


def _core_divider(field: int) -> int:
    return 1 if field < 8 else (2, 4, 8, 16, 64, 128, 256, 512)[field - 8]


def _apb_divider(field: int) -> int:
    return 1 if field < 4 else (2, 4, 8, 16)[field - 4]


class Rcc(Peripheral):
    """The clock tree of core, buses, flash and USART3.

    Args:
        hse_hz: the external clock on OSC_IN.
        reset_flags: RCC_RSR after this reset.
        overdrive_silicon: False where the silicon's PLL stops at 836 MHz (revision Y), True for 960 MHz.
    """

    registers = (
        Register("CR", 0x00, reset=0x0000_0001, writable=0x0507_0099, ignored=_ALL_READY),
        Register("CFGR", 0x10, writable=0x0000_0007, ignored=0x0000_0038),
        Register("D1CFGR", 0x18, writable=0x0000_0F7F),
        Register("D2CFGR", 0x1C, writable=0x0000_0770),
        Register("D3CFGR", 0x20, writable=0x0000_0070),
        Register("PLLCKSELR", 0x28, reset=0x0202_0200, writable=0x03F3_F3F3),
        Register("PLLCFGR", 0x2C, reset=0x01FF_0000, writable=0x01FF_0FFE),
        Register("PLL1DIVR", 0x30, reset=0x0101_0280, writable=0x7F7F_FFFF),
        Register("D2CCIP2R", 0x54, writable=0x0000_0007),
        Register("RSR", 0xD0, writable=0, ignored=0xFFFF_FFFF),
        Register("AHB3ENR", 0xD4),
        Register("AHB1ENR", 0xD8),
        Register("AHB2ENR", 0xDC),
        Register("AHB4ENR", 0xE0),
        Register("APB3ENR", 0xE4),
        Register("APB1LENR", 0xE8),
        Register("APB1HENR", 0xEC),
        Register("APB2ENR", 0xF0),
        Register("APB4ENR", 0xF4, reset=0x0001_0000),
    )

    def __init__(self, base: int, *, hse_hz: int, reset_flags: int, overdrive_silicon: bool) -> None:
        super().__init__("RCC", base)
        self.hse_hz = hse_hz
        self.reset_flags = reset_flags
        self._highest_vco_mhz = 960 if overdrive_silicon else 836
        self.voltage_scale: Callable[[], int] = lambda: 3
        self._gates: list[Gate] = []
        self.clocks_changed: Callable[[], None] = lambda: None
        """Set by the chip: called when a peripheral's or memory's clock may have changed."""
        self.check_flash: Callable[[int], None] = lambda hz: None
        """Set by the chip: refuses if the flash is not ready for an AXI clock of `hz`."""
        self.on_read.update(CR=self._read_cr, CFGR=self._read_cfgr, RSR=lambda: self.reset_flags)
        self.on_write.update(
            CR=self._write_cr,
            CFGR=self._write_cfgr,
            D1CFGR=self._check_speed,
            D2CFGR=self._check_speed,
            D3CFGR=self._check_speed,
            PLLCKSELR=self._refuse_while_pll_runs,
            PLLCFGR=self._refuse_while_pll_runs,
            PLL1DIVR=self._refuse_while_pll_runs,
            D2CCIP2R=self._write_kernel_clocks,
            RSR=self._write_rsr,
        )
        self._last_cr = self.values["CR"]

    def gate(self, register: str, bit: int) -> Gate:
        """The clock behind a bit of an enable register; the gate follows the bit."""
        gate = Gate(register, bit)
        self._gates.append(gate)
        self.on_write[register] = partial(self._write_enables, register)
        return gate

    def _write_enables(self, register: str, value: int) -> None:
        for gate in self._gates:
            if gate.register == register:
                gate.is_on = bool(value >> gate.bit & 1)
        self.clocks_changed()

    @property
    def core_hz(self) -> int:
        """Clock of the core."""
        return self._system_hz() // _core_divider(self.values["D1CFGR"] >> 8 & 0xF)

    @property
    def axi_hz(self) -> int:
        """Clock of AXI, AHB and flash."""
        return self.core_hz // _core_divider(self.values["D1CFGR"] & 0xF)

    @property
    def usart3_hz(self) -> int:
        """Kernel clock of USART3."""
        if self.values["D2CCIP2R"] & 7 == 3:
            return HSI_HZ
        return self._apb_hz()["APB1"]

    def _apb_hz(self) -> dict[str, int]:
        d1, d2, d3 = (self.values[name] for name in ("D1CFGR", "D2CFGR", "D3CFGR"))
        fields = {"APB1": d2 >> 4 & 7, "APB2": d2 >> 8 & 7, "APB3": d1 >> 4 & 7, "APB4": d3 >> 4 & 7}
        return {bus: self.axi_hz // _apb_divider(field) for bus, field in fields.items()}

    def _system_hz(self) -> int:
        match self.values["CFGR"] & 7:
            case 0:
                return HSI_HZ >> (self.values["CR"] >> 3 & 3)
            case 2:
                return self.hse_hz
            case 3:
                return self._pll1_p_hz()
            case _:
                raise NotModelled("CSI is chosen as system clock", "only HSI, HSE and PLL1 are emulated")

    def _pll1_p_hz(self) -> int:
        source = self.values["PLLCKSELR"] & 3
        reference = {0: HSI_HZ >> (self.values["CR"] >> 3 & 3), 2: self.hse_hz}.get(source)
        divider = self.values["PLLCKSELR"] >> 4 & 0x3F
        if reference is None or divider == 0:
            raise Misuse("PLL1 is used without an input", f"RCC_PLLCKSELR is 0x{self.values['PLLCKSELR']:08X}")
        needed = _HSI_ON if source == 0 else _HSE_ON
        if not self.values["CR"] & needed:
            raise Misuse("PLL1 is used while its source is off", f"RCC_CR is 0x{self.values['CR']:08X}")
        lowest, highest = _PLL1_INPUT_RANGES[self.values["PLLCFGR"] >> 2 & 3]
        if not lowest * MHZ <= reference / divider <= highest * MHZ:
            raise Misuse(
                f"PLL1 gets {reference / divider / MHZ:g} MHz",
                f"RCC_PLLCFGR.PLL1RGE promises {lowest} to {highest} MHz",
            )
        divr = self.values["PLL1DIVR"]
        vco = reference * ((divr & 0x1FF) + 1) / divider
        low, high = (150, 420) if self.values["PLLCFGR"] & 2 else (192, self._highest_vco_mhz)
        if not low * MHZ <= vco <= high * MHZ:
            raise Misuse(f"PLL1's oscillator would run at {vco / MHZ:g} MHz", f"it can do {low} to {high} MHz")
        if not self.values["PLLCFGR"] >> 16 & 1:
            raise Misuse("PLL1 is used with its output P off", "RCC_PLLCFGR.DIVP1EN is 0")
        post = (divr >> 9 & 0x7F) + 1
        if post > 1 and post % 2:
            raise Misuse(f"PLL1's output is divided by {post}", "odd dividers are not allowed (RCC_PLL1DIVR.DIVP1)")
        return int(vco / post)

    def _read_cr(self) -> int:
        value = self.values["CR"] & ~_ALL_READY
        for on, ready in _READY_OF.items():
            if value & on:
                value |= ready
        return value | 1 << 14 | 1 << 15  # D1CKRDY, D2CKRDY

    def _write_cr(self, value: int) -> None:
        changed, self._last_cr = value ^ self._last_cr, value
        if value & _HSE_ON and changed & _HSE_BYPASS and not changed & _HSE_ON:
            raise Misuse("RCC_CR.HSEBYP is changed while HSE is on", "it may only be written while HSEON is 0")
        if changed & _PLL1_ON and value & _PLL1_ON:
            self._pll1_p_hz()
        in_use = {0: _HSI_ON, 2: _HSE_ON, 3: _PLL1_ON}.get(self.values["CFGR"] & 7, 0)
        if in_use and not value & in_use:
            raise Misuse("RCC_CR switches off the clock in use", "the chip ignores that")

    def _read_cfgr(self) -> int:
        source = self.values["CFGR"] & 7
        return source | source << 3

    def _write_cfgr(self, value: int) -> None:
        needed = {0: _HSI_ON, 2: _HSE_ON, 3: _PLL1_ON}.get(value & 7)
        if needed is not None and not self.values["CR"] & needed:
            raise Misuse("RCC_CFGR.SW chooses a clock that is off", f"RCC_CR is 0x{self.values['CR']:08X}")
        self._check_speed(value)

    def _refuse_while_pll_runs(self, value: int) -> None:
        if self.values["CR"] & _PLL1_ON:
            raise Misuse("PLL1 is reconfigured while it runs", "its registers may only be written while PLL1ON is 0")

    def _write_kernel_clocks(self, value: int) -> None:
        if value & 7 not in (0, 3):
            raise NotModelled("USART3 gets a kernel clock other than PCLK1 or HSI", f"RCC_D2CCIP2R is {value & 7}")

    def _write_rsr(self, value: int) -> None:
        if value & 1 << 16:  # RMVF
            self.reset_flags = 0

    def _check_speed(self, _value: int = 0) -> None:
        scale = self.voltage_scale()
        core, axi, apb = _CLOCK_LIMITS[scale]
        speeds = {"the core": (self.core_hz, core), "AXI": (self.axi_hz, axi)}
        speeds |= {bus: (hz, apb) for bus, hz in self._apb_hz().items()}
        for what, (hz, limit) in speeds.items():
            if hz > limit * MHZ:
                raise Misuse(f"{what} would run at {hz / MHZ:g} MHz", f"voltage scale VOS{scale} allows {limit} MHz")
        self.check_flash(self.axi_hz)
