"""The option of every command that writes a file of the user's choice."""

from __future__ import annotations

import click

force_option = click.option(
    "--force",
    is_flag=True,
    help="Replace any file at --out. By default only a former output of this command is replaced.",
)
"""Decorator: adds the option, whose value is for `files.check_output`."""
