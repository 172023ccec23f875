"""Mistakes in the use of the `segbench` command, such as a missing argument, in one sentence like all others."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from segbench.commands.typer_private import UsageError
from segbench.core.errors import ConfigError, nearest

CTRL_C = 130
"""What some versions of typer return in place of a KeyboardInterrupt."""


class Verbs(TyperGroup):
    """The verbs, with a signal that stops one kept as it is: typer would make a bare exit status of it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb of a command line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _StoppedVerb(error) from None


class _StoppedVerb(BaseException):
    """Carries a `KeyboardInterrupt` through typer."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        super().__init__()
        self.stop = stop


def run_app(app: typer.Typer) -> None:
    """Run the command line.

    Raises:
        ConfigError: for a verb, an option or an argument that is missing, unknown, or cannot be read.
        KeyboardInterrupt: on Ctrl-C.
        SystemExit: with status 2 where help was printed for want of a verb.
    """
    try:
        status = app(standalone_mode=False, prog_name="segbench")
    except _StoppedVerb as error:
        raise error.stop from None
    except typer.Abort as error:
        raise (error.__cause__ or KeyboardInterrupt()) from None
    except UsageError as error:
        if not error.format_message():
            raise SystemExit(2) from None
        raise ConfigError(_sentence(error)) from None
    if status == CTRL_C:  # before there was a verb
        raise KeyboardInterrupt


def _sentence(error: Any) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    message = f"{message[0].lower()}{message[1:]}"
    if error.ctx is None:
        return f"{message}; see --help"
    command = error.ctx.command
    if name := getattr(error, "option_name", None):
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        if name not in options:
            return f"there is no option '{name}'{nearest(name, {*options, '--help'})}"
    if message.startswith("no such command"):
        name = message.split("'")[1]
        return f"there is no command '{name}'{nearest(name, command.commands)}"
    return f"{message}; see {error.ctx.command_path} --help"
