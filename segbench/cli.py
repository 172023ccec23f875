"""The verbs of the `segbench` command. `train.py` is the verb `train` alone. No torch at import time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from segbench import __version__
from segbench.commands.arguments import Overrides, Plugins, with_out
from segbench.commands.data_app import data_app
from segbench.commands.guard import guarded
from segbench.commands.trained_verbs import audit, evaluate, export, predict, show_app, verify
from segbench.commands.tune_app import tune_app
from segbench.commands.usage import Verbs, run_app

app = typer.Typer(
    cls=Verbs,
    help="Train, resume, evaluate and look at semantic segmentation experiments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(tune_app, name="tune")
sweep_app = typer.Typer(help="Look at sweeps; they are started with train -m.", no_args_is_help=True)
app.add_typer(sweep_app, name="sweep")


def main() -> None:
    """Run the `segbench` command."""
    # what is wrong with an installation has to be told by it
    verb = sys.argv[1:2]
    guarded(
        lambda: run_app(app), any_version=verb in (["doctor"], ["--version"]), trains=verb in (["train"], ["resume"])
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"segbench {__version__}")
        raise typer.Exit


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, resume, evaluate and look at semantic segmentation experiments."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def train(context: typer.Context) -> None:
    """Train one run, or sweep many with -m; the same as train.py."""
    from segbench.commands.launch import launch

    launch(context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def resume(run: str, overrides: Overrides = None) -> None:
    """Continue a stopped run in its own folder."""
    from segbench.commands.launch import launch

    launch([f"resume={run}", *(overrides or [])])


for verb in (evaluate, audit, verify, predict, export):
    app.command()(verb)
app.command("app")(show_app)


@app.command()
def compare(
    folders: Annotated[list[str] | None, typer.Argument(help="Run folders, or folders with runs below.")] = None,
    by: Annotated[str | None, typer.Option(help="Group by these settings alone, such as loss,optimizer.lr.")] = None,
    *,
    over: Annotated[str | None, typer.Option(help="Rank settings over the values of this one, such as data.")] = None,
    metric: Annotated[str | None, typer.Option(help="Such as val/mean_iou; default: test/mean_iou.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Judge every group against this run's: path or name.")] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="Such as data=fgbg or loss!=dice.")] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv, json, md or html.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write; default: the terminal.")] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Also take runs left out with hide.")] = False,
    watching: Annotated[bool, typer.Option("--watch", help="Show it again every few seconds, until Ctrl-C.")] = False,
    serving: Annotated[bool, typer.Option("--serve", help="Show the page live in a browser of this machine.")] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="For --serve: 8720 by default, 0 takes any free one.")
    ] = None,
) -> None:
    """Say which settings are best, at what cost, and whether the differences are real; default folder: outputs."""
    from rich.console import Console

    from segbench.commands.compare import check_serving
    from segbench.commands.compare import compare as compare_folders
    from segbench.commands.watch import watch

    check_serving(serving, port, others={"--watch": watching, "--out": bool(out), "--format": form != "table"})

    def show() -> None:
        compare_folders(
            folders or [],
            by,
            metric=metric,
            baseline=baseline,
            filters=filters or [],
            form=form,
            out=out,
            hidden=hidden,
            over=over,
        )

    if serving:
        from segbench.commands.compare import compared
        from segbench.commands.serve import PORT, serve

        serve(
            lambda: compared(
                folders or [], by, metric=metric, baseline=baseline, filters=filters or [], hidden=hidden, over=over
            ),
            PORT if port is None else port,
            console=Console(),
        )
    elif watching:
        watch(show, Console())
    else:
        show()


@app.command()
def score(
    overrides: Overrides = None,
    predictions: Annotated[Path | None, typer.Option(help="Folder of masks, or of arrays of probabilities.")] = None,
    *,
    split: Annotated[list[str] | None, typer.Option(help="val or test (default); may be given twice.")] = None,
    name: Annotated[str | None, typer.Option(help="What compare calls them; also as name=...")] = None,
    seed: Annotated[int | None, typer.Option(help="Which of several trainings they are from; also as seed=...")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to write; also as out=DIR.")] = None,
    masks: Annotated[str, typer.Option(help="auto, index, palette, rgb or binary.")] = "auto",
    like: Annotated[Path | None, typer.Option(help="A run whose data it is, instead of data=...")] = None,
    suffix: Annotated[str | None, typer.Option(help="What the names end in after the pictures' names.")] = None,
) -> None:
    """Score masks that any program predicted, into a run folder that compare treats like any other."""
    from rich.console import Console

    from segbench.commands.score import score_predictions
    from segbench.core.errors import ConfigError

    words, folder = with_out(overrides)
    if predictions is None:
        raise ConfigError("score needs the predictions: give --predictions DIR")
    words += [f"name={name}"] * (name is not None) + [f"seed={seed}"] * (seed is not None)
    splits = tuple(dict.fromkeys(split or ["test"]))
    place = out or folder
    console = Console()
    score_predictions(
        words, predictions, splits=splits, out=place, masks=masks, suffix=suffix, like=like, console=console
    )


@app.command()
def plan(
    folders: Annotated[list[str], typer.Argument(help="Run folders, or folders with runs below.")],
    difference: Annotated[float, typer.Option(help="What is to be seen, such as 0.01.")],
    *,
    power: Annotated[float, typer.Option(help="How often it is to be seen.")] = 0.8,
    metric: Annotated[str | None, typer.Option(help="Such as test/iou/road; default: test/mean_iou.")] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="Such as data=fgbg or loss!=dice.")] = None,
) -> None:
    """Say how many seeds and units it takes to see a difference, from the spread of the runs so far."""
    from rich.console import Console

    from segbench.commands.plan import plan_runs

    plan_runs(folders, difference, power=power, metric=metric, filters=filters or [], console=Console())


Runs = Annotated[list[str], typer.Argument(help="Run folders.")]


@app.command()
def hide(
    runs: Runs, reason: Annotated[str, typer.Option(help="Why; it is written into the folder's hidden.txt.")] = ""
) -> None:
    """Leave runs out of every comparison; nothing is deleted."""
    from segbench.commands.hide import hide_runs

    print(hide_runs(runs, reason))


@app.command()
def unhide(runs: Runs) -> None:
    """Let hidden runs take part in comparisons again."""
    from segbench.commands.hide import unhide_runs

    print(unhide_runs(runs))


@app.command()
def track(
    runs: Annotated[list[str], typer.Argument(help="Run folders, or folders with runs; logger.NAME.x=... to set it.")],
    to: Annotated[str, typer.Option(help="tensorboard, wandb, mlflow, trackio or csv.")],
) -> None:
    """Send runs that have ended to an experiment tracker, as far as it does not have them."""
    from rich.console import Console

    from segbench.commands.track import track_runs

    track_runs(runs, to, console=Console())


@sweep_app.command()
def status(folder: Annotated[Path, typer.Argument(help="The folder of a sweep.")]) -> None:
    """Show where every job of a sweep stands."""
    from rich.console import Console

    from segbench.commands.sweep import sweep_status

    sweep_status(folder, Console())


@app.command()
def doctor() -> None:
    """Say whether what is installed can work: versions, extras, the device."""
    from rich.console import Console

    from segbench.commands.doctor import run_doctor

    run_doctor(Console())


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="The file to write; default: what is printed.")] = None,
    options: Annotated[list[Path] | None, typer.Option(help="A folder of options of your own.")] = None,
    *,
    plugins: Plugins = None,
) -> None:
    """Write a JSON schema of an experiment's YAML file, by which an editor completes and checks it."""
    from segbench.commands.schema import write_schema

    write_schema(out, options or [], plugins=plugins or [])
