"""Arguments that several verbs of the `segbench` command share. No torch at import time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segbench.config.schema import RunConfig

Overrides = Annotated[list[str] | None, typer.Argument(help="Settings as key=value, such as data=fgbg.")]
Plugins = Annotated[list[str] | None, typer.Option(help="A package of your own that the run may use; trusted.")]


def settings(words: list[str] | None) -> RunConfig:
    """Return the checked configuration of the settings on a command line."""
    from segbench.config.compose import compose_config, run_config
    from segbench.config.words import spelled_out

    return run_config(compose_config(spelled_out(words or [])))


def runs_and_settings(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the paths of runs and the settings among words of the command line."""
    changes = [word for word in words if "=" in word and not Path(word).expanduser().exists()]
    return [word for word in words if word not in changes], changes


def with_out(words: list[str] | None) -> tuple[list[str], Path | None]:
    """Return the settings without `out=PATH`, and that path."""
    words = words or []
    others = [word for word in words if not word.startswith("out=")]
    given = [word.removeprefix("out=") for word in words if word.startswith("out=")]
    if not given:
        return others, None
    return others, Path(given[-1])
