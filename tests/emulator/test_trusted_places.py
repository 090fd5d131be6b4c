"""Places of checked instructions that are trusted: their hooks go, and the code is translated anew once."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("unicorn")

from stq_deploy.targets.emulator.checked_instructions import TRUSTED_AFTER, CheckedInstructions
from stq_deploy.targets.emulator.core import Core
from stq_deploy.targets.emulator.instructions import walk

FLASH, RAM = 0x0800_0000, 0x2000_0000
TURNS = 3 * TRUSTED_AFTER
CODE = struct.pack("<HHHHHH", 0xE9D0, 0x2300, 0x3901, 0xD1FB, 0xBF00, 0xBF00)
"""ldrd r2, r3, [r0]; subs r1, #1; bne to the first; nop; nop"""


class Watched:
    """A core that loops over LDRD, and what CheckedInstructions asks of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core = Core()
        self.flushes = self.removed = self.stops = 0
        uc = self.core.uc
        uc.mem_map(FLASH, 0x1000)
        uc.mem_map(RAM, 0x1000)
        uc.mem_write(FLASH, CODE)
        flush, remove = uc.ctl_flush_tb, uc.hook_del
        monkeypatch.setattr(uc, "ctl_flush_tb", self.counted("flushes", flush))
        monkeypatch.setattr(uc, "hook_del", self.counted("removed", remove))
        self.checked = CheckedInstructions(
            self.core, list(walk(FLASH, CODE)), divisions_trap=lambda: False, stop=self.stop, unmasked=lambda: None
        )

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            return function(*arguments)

        return call

    def stop(self, trouble: Exception | None) -> None:
        assert trouble is None
        self.stops += 1
        self.core.uc.emu_stop()

    def loop(self, turns: int) -> None:
        """Run so many turns, to the end."""
        self.core.set_registers({0: RAM, 1: turns, 15: FLASH})
        while self.core.pc != FLASH + 8:
            self.checked.drop_trusted()
            self.core.uc.emu_start(self.core.pc | 1, FLASH + 8)


def test_code_is_translated_anew_once_hooks_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.loop(TRUSTED_AFTER - 1)
    watched.checked.renew_translations()
    assert (watched.stops, watched.removed, watched.flushes) == (0, 0, 0)
    watched.loop(TURNS)
    assert (watched.stops, watched.removed) == (1, 1)
    for _ in range(2):
        watched.checked.renew_translations()
        assert watched.flushes == 1
    watched.loop(TURNS)
    assert (watched.stops, watched.core.register(1)) == (1, 0)
