"""`track`: runs that have ended are sent to an experiment tracker, as far as it does not have them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from segbench.compare.runs import find_runs
from segbench.config.compose import compose_config, run_config
from segbench.config.options import groups
from segbench.core.errors import ConfigError, SegbenchError, nearest
from segbench.core.states import RunState
from segbench.core.text import printable, say
from segbench.runs.folder import RunFolder
from segbench.runs.lock import locked
from segbench.tracking.live import first_line
from segbench.tracking.sender import send
from segbench.tracking.tracker import Tracker

GROUP = "logger"


def track_runs(words: Sequence[str], to: str, *, console: Console) -> None:
    """Send what a tracker does not have of each run, and say so, a line a run.

    Args:
        words: Run folders, or folders with runs below; `logger.NAME.x=...` are settings of the tracker.
        to: The tracker: an option of the group `logger`.
        console: Where the lines go.

    Raises:
        ConfigError: for a tracker that does not exist or cannot be reached; after the others, for runs that could not
            be sent.
    """
    settings = [word for word in words if word.startswith(f"{GROUP}.") and "=" in word]
    folders = [word for word in words if word not in settings]
    options = [option for option in groups()[GROUP] if option != "none"]
    if to not in options:
        raise ConfigError(f"there is no tracker called '{printable(to)}'{nearest(to, options)}")
    config = run_config(compose_config([f"{GROUP}={to}", *settings]))
    runs = [(RunFolder(run.path), run.state) for run in find_runs(folders or ["outputs"])]
    from segbench.training.loggers import make_loggers  # torch

    failed: list[str] = []
    for run, state in runs:
        (tracker,) = make_loggers(config, run).live.trackers.values()
        try:
            with locked(run.path):
                run.check_writable_inside()
                _send(run, tracker, state=state)
        except SegbenchError as error:
            failed.append(str(error))
            say(console, f"not sent: {printable(str(error))}")
        else:
            say(console, printable(f"sent {run.path} to {tracker.place}"))
    if failed:
        raise ConfigError(f"{len(failed)} of {len(runs)} runs were not sent; the first: {failed[0]}")


def _send(run: RunFolder, tracker: Tracker, *, state: RunState) -> None:
    try:
        send(run, tracker, state=state)
    except SegbenchError:
        raise
    except Exception as error:  # a program of its own, which may raise anything
        raise ConfigError(f"{run.path} cannot be sent to {tracker.place}: {first_line(error)}") from error
