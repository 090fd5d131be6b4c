"""`stq-deploy doctor`: a list of what is installed and what is missing, with the way to get it."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def doctor(as_json: bool) -> None:
    """List what is installed, what is missing, and how to get it.

    Exit code 1 if something is missing for building and running on an emulated board.
    """
    import dataclasses

    from stq_deploy.cli._screen import print_json, progress_bars
    from stq_deploy.common.progress import stage
    from stq_deploy.targets.emulator.qemu_check import emulator_checks
    from stq_deploy.targets.flash.connection_checks import connection_checks
    from stq_deploy.toolchain.installation_checks import toolchain_checks

    with progress_bars() as progress, stage(progress, "looking"):
        checks = [*toolchain_checks(), *emulator_checks(), *connection_checks()]
    healthy = all(check.present for check in checks if check.required)
    if as_json:
        print_json({"healthy": healthy, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = "ok  " if check.present else "NEED" if check.required else "-   "
            click.echo(f"{mark}  {check.name}: {check.found}")
            if not check.present:
                click.echo(f"      used for: {check.used_for}")
                click.echo(f"      get it:   {check.advice}")
        click.echo(
            "\nBuilding and running on an emulated board will work."
            if healthy
            else "\nBuilding and running on an emulated board need what is marked NEED."
        )
    sys.exit(0 if healthy else 1)
