"""The verbs of `segbench data`. No torch at import time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.arguments import Overrides, settings, with_out

data_app = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@data_app.command()
def preview(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("preview.png"),
    *,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    count: Annotated[int, typer.Option(min=1, max=64, help="Number of samples.")] = 8,
) -> None:
    """Write a labelled grid of samples as PNG."""
    config = settings(overrides)
    from segbench.commands.preview import preview_data

    print(preview_data(config, out, split=split, count=count))


@data_app.command()
def check(
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Also write all of it as JSON.")] = None,
) -> None:
    """Look for what is wrong with a data set: pairs, ids, sizes, duplicates; shares of classes, mean and std."""
    from rich.console import Console

    words, folder = with_out(overrides)
    config = settings(words)
    from segbench.commands.data_check import check_data

    check_data(config, out or folder, console=Console())


@data_app.command()
def export(
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write; also as out=DIR.")] = None,
    *,
    format: Annotated[str, typer.Option(help="folder or webdataset.")] = "folder",
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be given several times.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples of each split.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 works in this one.")] = 0,
    chunk: Annotated[int, typer.Option(min=1, help="Samples in a shard, and between points to continue from.")] = 1000,
    image_format: Annotated[str, typer.Option(help="png (exact) or jpeg (smaller).")] = "png",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of JPEG.")] = 95,
) -> None:
    """Write a data set to disk: pictures, masks and a table of what they are. Continues where it was stopped."""
    from rich.console import Console

    from segbench.core.errors import ConfigError

    words, folder = with_out(overrides)
    folder = out or folder
    if folder is None:
        raise ConfigError("data export needs a folder to write to: give out=DIR")
    config = settings(words)
    from segbench.commands.data_export import export_data

    console = Console()
    splits = tuple(split) if split else ("train", "val", "test")
    print(
        export_data(
            config.data,
            folder,
            plugins=config.plugins,
            format=format,
            splits=splits,
            count=count,
            workers=workers,
            chunk=chunk,
            image_format=image_format,
            quality=quality,
            console=console,
        )
    )
