"""The command line: one file per command; this group imports a command only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from stq_deploy import __version__
from stq_deploy.cli._outcome import DEBUG_OPTION, DEBUG_VARIABLE, ended
from stq_deploy.common.errors import did_you_mean
from stq_deploy.common.resources import docs_folder

HELP_WIDTH = 110
"""Columns of --help, where the terminal has as many."""

COMMANDS: dict[str, str] = {
    "demo": "Build the shipped network, run it on an emulated board, and compare with the reference.",
    "inspect": "Show a model as a table: layers, shapes, quantizers, bits, bytes, supported or why not.",
    "convert": "Turn a QKeras model into an integer network (.stq).",
    "build": "Build the firmware of a network for a board; print flash, RAM and stack.",
    "profile": "Estimate where the time of a network goes on a board, layer by layer.",
    "flash": "Write the built firmware to a connected board.",
    "run": "Stream samples to a board, real or emulated, and score what comes back.",
    "verify": "Compare every layer's output: NumPy, host C, sanitized C, emulated boards.",
    "evaluate": "Score a model on a data set or sample file, without a link.",
    "attack": "Make adversarial samples of a QKeras model.",
    "robustness": "Attack a model by a preset; report what is left, worst case by sample.",
    "robustness-sensitivity": "Measure each layer's adversarial noise sensitivity; propose bits by layer.",
    "certify": "Prove families of pictures right on the integer network, sample by sample.",
    "zoo": "List the trained models that come with the package, or show one's card.",
    "train": "Train one of the paper's networks, or one of your own, by a recipe.",
    "cross-validate": "Train and test on every fold of a data set: mean, variance, interval.",
    "emulate": "Run a built firmware on an emulated board and print its serial port.",
    "boards": "List the boards, and those connected.",
    "doctor": "List what is installed, what is missing, and how to get it.",
}
"""Command name -> its line in --help. The command `x-y` is the object `x_y` in `stq_deploy/cli/x_y.py`."""


class LazyGroup(click.Group):
    """Lists commands without importing them; however a command ends, it ends in words (`_outcome`)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"stq_deploy.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[:2] == ["robustness", "sensitivity"]:  # both ways of writing it work
            args = ["robustness-sensitivity", *args[2:]]
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS and not ctx.resilient_parsing:
            near = did_you_mean(name, COMMANDS)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write(f"Documentation: {docs_folder()}\n")  # on one line, to be copied

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        run = partial(
            super().main, arguments, prog_name, complete_var, False, windows_expand_args=windows_expand_args, **extra
        )
        if not standalone_mode:
            return run()
        sys.exit(ended(run, arguments))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH})
@click.version_option(__version__, prog_name="stq-deploy")
@click.option(DEBUG_OPTION, is_flag=True, help=f"Show a traceback with every error, as {DEBUG_VARIABLE}=1 does.")
def cli(debug: bool) -> None:
    """Put few-bit QKeras networks on microcontrollers, and see how robust they are there.

    Exit codes: 0 success; 1 an error, or a difference found; 2 a mistake in the command line; 70 a fault of
    stq-deploy; 130 interrupted. With --json, an error is an object too: {"error": {"what": ..., "next": ...}}.
    """
