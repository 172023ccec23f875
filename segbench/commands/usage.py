"""Mistakes in the use of the `segbench` command, such as a missing argument, in one sentence like all others."""

from __future__ import annotations

from typing import Any

import typer

from segbench.commands.typer_private import UsageError
from segbench.core.errors import ConfigError, nearest


def run_app(app: typer.Typer) -> None:
    """Run the command line.

    Raises:
        ConfigError: for a verb, an option or an argument that is missing, unknown, or cannot be read.
        KeyboardInterrupt: on Ctrl-C.
        SystemExit: with status 2 where help was printed for want of a verb.
    """
    try:
        app(standalone_mode=False, prog_name="segbench")
    except typer.Abort as error:
        raise (error.__cause__ or KeyboardInterrupt()) from None
    except UsageError as error:
        if not error.format_message():
            raise SystemExit(2) from None
        raise ConfigError(_sentence(error)) from None


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
