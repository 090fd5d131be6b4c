"""`stq-deploy doctor`'s checks of connected boards: probes, serial ports, and permission to use them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import board_names, load_board
from stq_deploy.targets.flash.ports import UsbPort, usb_ports
from stq_deploy.targets.flash.pyocd import list_probes
from stq_deploy.toolchain.installation_checks import Check

UDEV_FOLDERS = (Path("/etc/udev/rules.d"), Path("/usr/lib/udev/rules.d"), Path("/lib/udev/rules.d"))


def connection_checks() -> Iterator[Check]:
    """Probes, udev rules (Linux), and each USB serial port of a known board's vendor."""
    try:
        probes = list_probes()
    except StqError as error:
        yield Check("debug probes", False, error.what, "flash", error.next)
    else:
        found = ", ".join(f"{probe.uid} ({probe.description})" for probe in probes) or "none connected"
        yield Check("debug probes", bool(probes), found, "flash", "" if probes else "plug in a board")
    boards = [load_board(name) for name in board_names()]
    vendors = {vendor for board in boards if (vendor := board.serial.usb_vendor_id) is not None}
    if platform.system() == "Linux":
        yield check_udev_rules(vendors)
    ports = [port for port in usb_ports() if port.vendor_id in vendors]
    if not ports:
        yield Check("serial ports", False, "none of a known board", "run --port", "plug in a board")
    for port in ports:
        yield check_port(port)


def check_port(port: UsbPort) -> Check:
    """Whether this user may read and write a serial port."""
    allowed = os.access(port.device, os.R_OK | os.W_OK)
    found = "may be read and written" if allowed else "no permission to read and write it"
    advice = "" if allowed else "sudo usermod -aG dialout $USER, then log in again"
    return Check(f"serial port {port.device}", allowed, found, "run --port", advice)


def check_udev_rules(vendors: set[int], folders: tuple[Path, ...] = UDEV_FOLDERS) -> Check:
    """Whether a udev rule names the probes' vendor; without one, only root can open a probe."""
    missing = {f"{vendor:04x}" for vendor in vendors}
    for folder in folders:
        for path in sorted(folder.glob("*.rules")):
            text = path.read_text(encoding="utf-8", errors="replace").lower()
            missing -= {vendor for vendor in missing if f'"{vendor}"' in text}
    found = f"no rule for USB vendor {', '.join(sorted(missing))}" if missing else "installed"
    advice = "see https://github.com/pyocd/pyOCD/tree/main/udev" if missing else ""
    return Check("udev rules for probes", not missing, found, "flash without root", advice)
