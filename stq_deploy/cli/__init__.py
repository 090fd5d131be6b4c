"""The command line: one file per command; this group imports a command only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from stq_deploy import __version__
from stq_deploy.errors import StqError

COMMANDS: dict[str, str] = {
    "demo": "Build the shipped network, run it on an emulated board, and compare with the reference.",
    "inspect": "Show a model as a table: layers, shapes, quantizers, bits, bytes, supported or why not.",
    "convert": "Turn a QKeras model into an integer network (.stq).",
    "build": "Build the firmware of a network for a board; print flash, RAM and stack.",
    "flash": "Write the built firmware to a connected board.",
    "run": "Stream samples to a board, real or emulated, and score what comes back.",
    "verify": "Compare every layer's output: NumPy, host C, sanitized C, emulated boards.",
    "evaluate": "Score a model on a data set or sample file, without a link.",
    "attack": "Make adversarial samples of a QKeras model.",
    "zoo": "List the trained models that come with the package, or show one's card.",
    "train": "Train one of the paper's networks, or one of your own, by a recipe.",
    "cross-validate": "Train and test on every fold of a data set: mean, variance, interval.",
    "emulate": "Run a built firmware on an emulated board and print its serial port.",
    "boards": "List the boards, and those connected.",
    "doctor": "Say what is installed, what is missing, and how to get it.",
}
"""Command name -> its line in --help. The command `x-y` is the object `x_y` in `stq_deploy/cli/x_y.py`."""


class LazyGroup(click.Group):
    """Lists commands without importing them, and prints an StqError as a message instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"stq_deploy.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StqError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stq-deploy")
def cli() -> None:
    """Put few-bit QKeras networks on microcontrollers, and see how robust they are there."""
