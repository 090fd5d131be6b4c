"""Nested vectored interrupt controller: ARMv7-M ARM, B3.4. Level interrupts; exceptions.py takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import NotModelled

_WORDS = 5  # 150 interrupts
FIRST_INTERRUPT = 16
"""Exception number of interrupt 0."""


class Nvic(Peripheral):
    """Enables and priorities.

    Args:
        lines: interrupt number -> whether its line is up. Only these have an interrupt source here.
        changed: called when an interrupt may have become pending.
    """

    registers = (
        *(Register(f"ISER{n}", 0x000 + 4 * n) for n in range(_WORDS)),
        *(Register(f"ICER{n}", 0x080 + 4 * n) for n in range(_WORDS)),
        *(Register(f"ICPR{n}", 0x180 + 4 * n) for n in range(_WORDS)),
        *(Register(f"IPR{n}", 0x300 + 4 * n, writable=0xF0F0_F0F0) for n in range(38)),
    )

    def __init__(self, base: int, lines: Mapping[int, Callable[[], bool]], changed: Callable[[], None]) -> None:
        super().__init__("NVIC", base)
        self._lines = lines
        self._changed = changed
        self._enabled = 0
        for n in range(_WORDS):
            self.on_read[f"ISER{n}"] = self.on_read[f"ICER{n}"] = partial(self._enabled_word, n)
            self.on_read[f"ICPR{n}"] = partial(self._pending_word, n)
            self.on_write[f"ISER{n}"] = partial(self._enable, n)
            self.on_write[f"ICER{n}"] = partial(self._disable, n)

    def pending(self) -> int | None:
        """Exception number of the enabled interrupt that is pending and most urgent; None if there is none."""
        ready = [n for n, is_up in self._lines.items() if self._enabled >> n & 1 and is_up()]
        return FIRST_INTERRUPT + min(ready, key=lambda n: (self.priority(n), n)) if ready else None

    def priority(self, interrupt: int) -> int:
        """0 (most urgent) to 0xF0."""
        return self.values[f"IPR{interrupt // 4}"] >> 8 * (interrupt % 4) & 0xFF

    def _enabled_word(self, word: int) -> int:
        return self._enabled >> 32 * word & 0xFFFF_FFFF

    def _pending_word(self, word: int) -> int:
        return sum(1 << n % 32 for n, is_up in self._lines.items() if n // 32 == word and is_up())

    def _enable(self, word: int, bits: int) -> None:
        for n in range(32 * word, 32 * word + 32):
            if bits >> n % 32 & 1 and n not in self._lines:
                raise NotModelled(f"interrupt {n} is enabled in the NVIC", "no source of it is emulated")
        self._enabled |= bits << 32 * word
        self._changed()

    def _disable(self, word: int, bits: int) -> None:
        self._enabled &= ~(bits << 32 * word)
