"""The verbs of the `segbench` command. `train.py` is the verb `train` alone. No torch at import time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.launch import guarded, launch

app = typer.Typer(
    help="Train, resume and look at semantic segmentation experiments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings as key=value, such as data=fgbg.")]


def main() -> None:
    """Run the `segbench` command."""
    guarded(app)


@app.command(context_settings={**SETTINGS, "help_option_names": []})
def train(context: typer.Context) -> None:
    """Train one run, or sweep many with -m; the same as train.py."""
    launch(context.args)


@app.command(context_settings=SETTINGS)
def resume(run: str, overrides: Overrides = None) -> None:
    """Continue a stopped run in its own folder."""
    launch([f"resume={run}", *(overrides or [])])


@data_app.command(context_settings=SETTINGS)
def preview(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("preview.png"),
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    count: Annotated[int, typer.Option(min=1, max=64, help="Number of samples.")] = 8,
) -> None:
    """Write a labelled grid of samples as PNG."""
    from segbench.config.compose import compose_config, plain_config

    config = plain_config(compose_config(overrides or []))
    from segbench.commands.preview import preview_data

    print(preview_data(config, out, split, count))
