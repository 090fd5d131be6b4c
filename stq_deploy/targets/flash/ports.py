"""Serial ports and their boards."""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.targets.boards import Board


@dataclass(frozen=True)
class UsbPort:
    """A USB serial port; `serial_number` is the probe's where a probe provides the port."""

    device: str
    vendor_id: int
    serial_number: str
    description: str


def usb_ports() -> list[UsbPort]:
    """The USB serial ports plugged in, by device; a computer's own ports have no vendor and are left out."""
    from serial.tools import list_ports

    return sorted(
        (
            UsbPort(found.device, found.vid, found.serial_number or "", found.description or "")
            for found in list_ports.comports()
            if found.vid is not None
        ),
        key=lambda port: port.device,
    )


def port_of_probe(board: Board, uid: str, ports: list[UsbPort]) -> UsbPort | None:
    """The port that the probe `uid` provides: it has the board's USB vendor and the probe's serial number."""
    for port in ports:
        if port.vendor_id == board.serial.usb_vendor_id and port.serial_number.lower() == uid.lower():
            return port
    return None


def possible_ports(board: Board, ports: list[UsbPort]) -> list[UsbPort]:
    """Every port that may be a board of this kind."""
    return [port for port in ports if port.vendor_id == board.serial.usb_vendor_id]
