"""What doctor says about permissions."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.targets.flash.connection_checks import check_port, check_udev_rules
from stq_deploy.targets.flash.ports import UsbPort


def test_a_port_that_may_be_used(tmp_path: Path) -> None:
    device = tmp_path / "ttyACM0"
    device.touch()
    check = check_port(UsbPort(str(device), 0x0483, "", ""))
    assert check.present and not check.advice


def test_a_port_without_permission(tmp_path: Path) -> None:
    # Absent stands in for forbidden: root may use anything that exists.
    check = check_port(UsbPort(str(tmp_path / "absent"), 0x0483, "", ""))
    assert not check.present
    assert "dialout" in check.advice


def test_udev_rules_are_found_by_vendor(tmp_path: Path) -> None:
    assert not check_udev_rules({0x0483}, (tmp_path,)).present
    (tmp_path / "49-other.rules").write_text('ATTRS{idVendor}=="0D28", MODE:="666"\n')
    assert "0483" in check_udev_rules({0x0483}, (tmp_path,)).found
    (tmp_path / "49-stlinkv2.rules").write_text('ATTRS{idVendor}=="0483", MODE:="666"\n')
    assert check_udev_rules({0x0483, 0x0D28}, (tmp_path,)).present
