"""The verbs of the `segbench` command that use what was trained. No torch at import time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.arguments import Overrides, Plugins


def evaluate(
    run: Annotated[str, typer.Argument(help="The run folder.")],
    changes: Overrides = None,
    *,
    split: Annotated[str, typer.Option(help="val or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write the scores as JSON.")] = None,
    reliability: Annotated[Path | None, typer.Option(help="Also draw accuracy by probability, as PNG.")] = None,
    plugins: Plugins = None,
) -> None:
    """Score a run's best checkpoint again, from its folder alone, and say whether it is as sure as it is right."""
    from rich.console import Console

    from segbench.commands.evaluate import evaluate_run

    evaluate_run(
        run,
        split,
        changes=changes or [],
        plugins=plugins or [],
        out=out,
        reliability=reliability,
        console=Console(),
    )


def audit(
    runs: Annotated[list[str], typer.Argument(help="Run folders, such as those of all folds; then settings.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for audit.csv, audit.html and thumbnails.")],
    split: Annotated[str, typer.Option(help="val or test.")] = "test",
    pictures: Annotated[int, typer.Option(min=0, help="Pictures of each run that the page shows.")] = 50,
    plugins: Plugins = None,
) -> None:
    """List the held-out pictures whose labels a trained network doubts most."""
    from rich.console import Console

    from segbench.commands.audit import audit_runs

    audit_runs(
        runs,
        split=split,
        out=out,
        pictures=pictures,
        plugins=plugins or [],
        console=Console(),
    )


def verify(
    run: Annotated[str, typer.Argument(help="The run folder.")],
    changes: Overrides = None,
    *,
    plugins: Plugins = None,
) -> None:
    """Train a run again in a temporary folder and say whether every bit is the same, or from which step on not."""
    from rich.console import Console

    from segbench.commands.verify import verify_run

    verify_run(run, changes or [], plugins=plugins or [], console=Console())


def predict(
    run: Annotated[str, typer.Argument(help="The run folder.")],
    images: Annotated[list[str], typer.Argument(help="Pictures, folders with all below them, or patterns in quotes.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for masks and depth maps; keeps the folders' trees.")],
    backgrounds: Annotated[Path | None, typer.Option(help="For inputs=image+background: pictures by name.")] = None,
    side: Annotated[int | None, typer.Option(help="Shorter side that the network sees; default: training's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also the pictures with classes laid over them.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also the probabilities, as .npz.")] = False,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="Also how unsure it is, as PNG.")] = False,
    plugins: Plugins = None,
) -> None:
    """Write masks and depth maps at the pictures' own size."""
    from segbench.commands.predict import Wanted, predict_images

    wanted = Wanted(out, backgrounds, side, device, overlay, probabilities, uncertainty)
    print(predict_images(run, images, wanted=wanted, plugins=plugins or []))


def show_app(
    runs: Annotated[list[str], typer.Argument(help="Run folders, of which two are shown at a time; then settings.")],
    *,
    host: Annotated[str, typer.Option(help="Address to serve at; by default this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8721,
    opens: Annotated[bool, typer.Option("--open", help="Also open the page in a browser.")] = False,
    side: Annotated[int | None, typer.Option(help="Shorter side that the network sees; default: training's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    plugins: Plugins = None,
) -> None:
    """Show in a browser what trained networks say of a picture that is dropped there."""
    from rich.console import Console

    from segbench.commands.app import serve_app
    from segbench.commands.app_runs import load_runs

    loaded = load_runs(runs, side=side, device=device, plugins=plugins or [])
    serve_app(loaded, port, host=host, opens=opens, console=Console())


def export(
    runs: Annotated[list[str], typer.Argument(help="A run folder, or several that are averaged; then settings.")],
    *,
    form: Annotated[str, typer.Option("--format", help="onnx, torch or safetensors.")] = "onnx",
    steps: Annotated[
        list[str] | None, typer.Option("--with", help="Some of normalisation,resize,argmax to come into the file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: exports/ and the run's name.")] = None,
    hub: Annotated[bool, typer.Option("--hub-folder", help="Make it one that the Hugging Face hub takes.")] = False,
    licence: Annotated[str | None, typer.Option(help="Of the weights, for the card, such as mit.")] = None,
    plugins: Plugins = None,
) -> None:
    """Write the network as a file for other programs, checked against the run, with a card."""
    from segbench.commands.export import default_folder, export_runs
    from segbench.core.choices import one_of
    from segbench.export.steps import Format, steps_of

    chosen = one_of(Format, form, what="--format")
    folder = out or default_folder(runs[0])
    from segbench.export.write import Wanted

    wanted = Wanted(chosen, steps_of(steps or []), folder, hub, licence)
    print(export_runs(runs, wanted, plugins=plugins or []))
