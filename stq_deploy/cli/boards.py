"""`stq-deploy boards`: all boards, and those connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click


@click.command()
@click.option("--connected", is_flag=True, help="List debug probes and the serial port of each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def boards(connected: bool, as_json: bool) -> None:
    """List the boards, or with --connected the probes and serial ports plugged in."""
    from stq_deploy.cli._screen import print_json

    found: Sequence[KnownBoard | Connection] = _connected() if connected else _known()
    rows = [asdict(one) for one in found]
    if as_json:
        print_json({"connected" if connected else "boards": rows})
        return
    if not rows:
        click.echo("No board is connected: neither a debug probe nor a serial port of a known board.")
        return
    for row in rows:
        click.echo("\n".join(f"{name:<12} {_text(value)}" for name, value in row.items()) + "\n")


@dataclass(frozen=True)
class KnownBoard:
    """A board that firmware can be built for."""

    board: str
    title: str
    core: str
    clock_hz: int
    flash_bytes: int
    ram_bytes: int
    serial: str
    emulator: str
    flash_tool: str


@dataclass(frozen=True)
class Connection:
    """A debug probe and its serial port; "" for what is not there."""

    probe: str
    description: str
    port: str


def _known() -> list[KnownBoard]:
    from stq_deploy.targets.boards import board_names, load_board

    found = []
    for board in map(load_board, board_names()):
        sizes = {kind: sum(m.bytes for m in board.memory if m.kind == kind) for kind in ("flash", "ram")}
        found.append(
            KnownBoard(
                board=board.name,
                title=board.title,
                core=board.cpu.core,
                clock_hz=board.clock.core_hz,
                flash_bytes=sizes["flash"],
                ram_bytes=sizes["ram"],
                serial=f"{board.serial.peripheral} at {board.serial.baud}",
                emulator=board.emulator.kind if board.emulator else "none",
                flash_tool=board.flash.tool if board.flash else "none: it exists only as an emulation",
            )
        )
    return found


def _connected() -> list[Connection]:
    """A row for each probe with its port, and for each port of a known board's vendor without a probe."""
    from stq_deploy.common.errors import StqError
    from stq_deploy.targets.boards import board_names, load_board
    from stq_deploy.targets.flash.ports import port_of_probe, possible_ports, usb_ports
    from stq_deploy.targets.flash.pyocd import list_probes

    ports = usb_ports()
    try:
        probes = list_probes()
    except StqError as error:  # the serial ports can be listed without
        click.echo(f"Probes are not listed: {error}", err=True)
        probes = []
    rows = []
    shown = set()
    for board in map(load_board, board_names()):
        for probe in probes:
            port = port_of_probe(board, probe.uid, ports)
            if port:
                shown |= {probe.uid, port.device}
                rows.append(Connection(probe.uid, probe.description, port.device))
        for port in possible_ports(board, ports):
            if port.device not in shown:
                shown.add(port.device)
                rows.append(Connection("", port.description, port.device))
    rows += [Connection(probe.uid, probe.description, "") for probe in probes if probe.uid not in shown]
    return rows


def _text(value: object) -> str:
    """For a terminal: a probe's description may be unprintable."""
    return f"{value:,}" if isinstance(value, int) else "".join(c for c in str(value) if c.isprintable())
