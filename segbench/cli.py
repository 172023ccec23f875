"""The command line: `train.py` with Hydra's settings, and the verbs of `segbench`. No torch at import time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from segbench.core.errors import ConfigError, Interrupted, SegbenchError

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
    _guarded(app)


def train_main(arguments: Sequence[str] | None = None) -> None:
    """Run `train.py` with the arguments of the process, or the given ones."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _guarded(lambda: _train(words))


@app.command(context_settings={**SETTINGS, "help_option_names": []})
def train(context: typer.Context) -> None:
    """Train one run, or sweep many with -m; the same as train.py."""
    _train(context.args)


@app.command(context_settings=SETTINGS)
def resume(run: str, overrides: Overrides = None) -> None:
    """Continue a stopped run in its own folder."""
    _train([f"resume={run}", *(overrides or [])])


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


def _train(words: list[str]) -> None:
    from segbench.config import compose

    words = _expand_resume(words)
    flags = [word for word in words if word.startswith("-")]
    if not flags:
        compose.compose_config(words)
    elif set(flags) <= {"-m", "--multirun"}:
        compose.check_sweep([word for word in words if word not in flags])
    else:
        compose.check_flags(words)
    _run_hydra(words)


def _expand_resume(words: list[str]) -> list[str]:
    given = [word for word in words if word.startswith(("resume=", "+resume="))]
    if not given:
        return words
    from segbench.commands.resume import resume_overrides

    path = given[-1].split("=", 1)[1].strip("'\"")
    rest = [word for word in words if word not in given]
    if not path:
        raise ConfigError("resume= needs the path of a run folder, printed at the start of every run")
    if {"-m", "--multirun"} & set(rest):
        raise ConfigError("resume continues one run; it cannot be combined with -m")
    return resume_overrides(path, rest)


def _run_hydra(words: list[str]) -> None:
    import hydra

    from segbench.config.compose import CONFIG_NAME
    from segbench.config.paths import conf_dir
    from segbench.config.resolvers import register

    register()
    sys.argv = [sys.argv[0], *words]
    jobs = _Jobs()
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)(jobs.run)()
    jobs.report()


class _Jobs:
    """Runs the jobs that Hydra starts and keeps their mistakes: a failing job does not stop the others of a sweep."""

    def __init__(self) -> None:
        self.started = 0
        self.failed: list[SegbenchError] = []

    def run(self, config: Any) -> float:
        """Run one job and return its best val mean IoU, NaN where it failed."""
        from segbench.commands.train import run_training

        self.started += 1
        try:
            return run_training(config)
        except Interrupted as error:
            _say(str(error))
            raise SystemExit(error.exit_code) from None  # ends a sweep as well
        except SegbenchError as error:
            if self.started > 1 or self.failed:
                _say(str(error))
            self.failed.append(error)
            return float("nan")

    def report(self) -> None:
        """Raise the first mistake, saying how many of the jobs failed where there were several."""
        if self.failed and self.started == 1:
            raise self.failed[0]
        if self.failed:
            _say(f"{len(self.failed)} of {self.started} jobs failed; the first: {self.failed[0]}")
            raise SystemExit(self.failed[0].exit_code)


def _guarded(run: Callable[[], Any]) -> NoReturn:
    """Run a command and end the process: one sentence for a mistake, a traceback only for a bug or on request."""
    wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets errors through instead of printing them its own way
    try:
        run()
    except SegbenchError as error:
        if wanted:
            raise
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted before the first step; nothing was lost")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    sys.exit(0)


def _say(message: str) -> None:
    print(f"segbench: {' '.join(message.split())}", file=sys.stderr, flush=True)
