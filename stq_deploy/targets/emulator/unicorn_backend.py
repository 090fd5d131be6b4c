"""Boards emulated by this package's own models of chips, on Unicorn."""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import TYPE_CHECKING

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install
from stq_deploy.targets.emulator.backends import Launch
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.targets.emulator.serial_pty import SerialPty

if TYPE_CHECKING:
    from stq_deploy.targets.emulator.machine import Machine

_USUAL_REVISION = "V"
_TICK_SECONDS = 0.5
_NUDGE_SECONDS = 0.001


def check_installed() -> None:
    """See `Backend`."""
    if importlib.util.find_spec("unicorn") is None:
        raise StqError(
            "unicorn, which emulates the core, is not installed",
            next=f"install it: {how_to_install('emulator')}",
        )


def start(launch: Launch, serial: SerialPty) -> UnicornEmulation:
    """See `Backend`."""
    from stq_deploy.targets.emulator.machine import Machine

    machine = Machine(
        launch.program,
        launch.board,
        mode=launch.mode,
        revision=launch.revision or _USUAL_REVISION,
        wire=serial.wire,
        refused=launch.refused,
        watchdog_speed=launch.watchdog_speed,
    )
    return UnicornEmulation(machine, serial)


class UnicornEmulation:
    """A `Machine` that runs in its own thread."""

    def __init__(self, machine: Machine, serial: SerialPty) -> None:
        self._machine = machine
        self._serial = serial

    def serve(self, stop: threading.Event, watched: tuple[int, ...]) -> EmulatorRefusal | None:
        """See `Emulation`."""
        machine, serial = self._machine, self._serial
        ends: list[EmulatorRefusal | None] = []
        crash: list[BaseException] = []

        def live() -> None:
            try:
                ends.append(machine.run())
            except BaseException as error:
                crash.append(error)
            stop.set()
            serial.wake()

        thread = threading.Thread(target=live, name="core")
        thread.start()
        while not stop.is_set():
            arrived, others = serial.exchange(_NUDGE_SECONDS if machine.wants_nudge else _TICK_SECONDS, watched)
            if arrived:
                machine.bytes_arrived()
            elif machine.wants_nudge:
                machine.nudge()
            machine.watch()
            if others and not os.read(others[0], 1):
                stop.set()
        while thread.is_alive():
            machine.stop()
            thread.join(0.01)
        serial.exchange(0)
        if crash:
            raise crash[0]
        return ends[0]

    def close(self) -> None:
        """Nothing remains after `serve`."""
