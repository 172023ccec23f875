"""The verbs of `segbench tune`. No torch at import time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.arguments import Overrides, settings, with_out

tune_app = typer.Typer(help="Look for a learning rate or a batch size, before a run.", no_args_is_help=True)
Out = Annotated[Path | None, typer.Option(help="The JSON to write; default: outputs/tune/NAME-lr-STAMP.json.")]


@tune_app.command()
def lr(
    overrides: Overrides = None,
    out: Out = None,
    *,
    first: Annotated[float, typer.Option(help="The first learning rate.")] = 1e-6,
    last: Annotated[float, typer.Option(help="The last one, where the loss has not risen before.")] = 1.0,
    steps: Annotated[int, typer.Option(min=20, max=100_000, help="Optimizer steps from the first to the last.")] = 100,
) -> None:
    """Train some steps with a rising learning rate, and say at which the loss falls fastest."""
    from rich.console import Console

    words, file = with_out(overrides)
    config = settings(words)
    from segbench.commands.tune import tune_lr

    tune_lr(config, out or file, first=first, last=last, steps=steps, console=Console())


@tune_app.command()
def batch(
    overrides: Overrides = None,
    out: Out = None,
    *,
    most: Annotated[int, typer.Option(min=1, help="The largest batch size to try.")] = 1024,
    steps: Annotated[int, typer.Option(min=1, max=10_000, help="Batches of each size that are timed.")] = 5,
) -> None:
    """Train some steps with batches of 1, 2, 4, ... pictures, and say which size is fast and fits."""
    from rich.console import Console

    words, file = with_out(overrides)
    config = settings(words)
    from segbench.commands.tune import tune_batch

    tune_batch(config, out or file, most=most, steps=steps, console=Console())
