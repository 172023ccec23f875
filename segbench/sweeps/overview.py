"""Where the jobs of a sweep stand: a table that keeps itself up to date on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segbench.core.states import RunState
from segbench.core.text import duration, printable, say
from segbench.sweeps.folder import JobState, SweepFolder
from segbench.sweeps.plan import Job

STYLES = {
    RunState.RUNNING: "bold",
    RunState.FAILED: "red",
    RunState.INTERRUPTED: "yellow",
    RunState.COMPLETED: "green",
    RunState.PRUNED: "dim",
    RunState.QUEUED: "dim",
}
"""The states of jobs and their styles, in the order of the table."""


class Overview:
    """While entered, shows the jobs.

    Args:
        sweep: Its folder, which is all that is looked at.
        console: Where; a table on a terminal, one line a finished job elsewhere.
    """

    def __init__(self, sweep: SweepFolder, console: Console) -> None:
        self.sweep = sweep
        self.console = console
        self.jobs: Sequence[Job] = ()
        self.planned = 0
        """How many jobs there are to be, where a search chooses them one after another."""
        self._settled: dict[str, JobState] = {}
        self._began = time.monotonic()
        self._finished = 0
        self._live: Live | None = None

    def __enter__(self) -> Overview:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self.render, console=self.console, refresh_per_second=1, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def render(self) -> Table:
        """Return the table of now, cut to what fits on the terminal."""
        states = [self._state(job) for job in self.jobs]
        return table(self.jobs, states, rows=self.console.height - 4, clock=self._clock(states))

    def _clock(self, states: Sequence[JobState]) -> str:
        """Return how long the jobs of this command have taken, and about how long the others will."""
        seconds = time.monotonic() - self._began
        left = sum(not state.state.is_settled for state in states) + self._count() - len(states)
        if not self._finished or not left:
            return duration(seconds)
        return f"{duration(seconds)}, about {duration(seconds / self._finished * left)} left"

    def _count(self) -> int:
        return max(self.planned, len(self.jobs))

    def _state(self, job: Job) -> JobState:
        if job.name not in self._settled:
            state = self.sweep.state(job)
            if not state.state.is_settled:
                return state
            self._settled[job.name] = state
        return self._settled[job.name]

    def finished(self, job: Job, state: RunState) -> None:
        """Say what became of a job."""
        self._finished += 1
        now = self.sweep.state(job)
        number = list(self.jobs).index(job) + 1
        parts = [f"job {number}/{self._count()}", job.name, state]
        if now.score == now.score:
            parts.append(f"best val {_score(now)}")
        if now.error:
            parts.append(now.error)
        say(self.console, printable("  ".join(parts)))


def table(jobs: Sequence[Job], states: Sequence[JobState], *, rows: int | None = None, clock: str = "") -> Table:
    """Return a table of jobs with state, epoch, best score and error.

    Those that run and failed come first, then the others by their score, the best one on top.

    Args:
        jobs: The jobs.
        states: The state of each.
        rows: How many are shown; None for all.
        clock: The time that was taken, for the title.
    """
    counts = Counter(state.state for state in states)
    scores = [state.score for state in states if state.score == state.score]
    best = f", best {abs(max(scores)):.4f}" if scores else ""
    title = ", ".join(f"{counts[name]} {name}" for name in STYLES if counts[name]) + best
    if clock:
        title = f"{title}; {clock}"
    view = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1))
    for head in ("job", "state", "epoch", "best val", ""):
        view.add_column(head, no_wrap=head not in ("job", ""))
    order = sorted(zip(jobs, states, strict=True), key=lambda pair: _place(pair[1]))
    visible = order if rows is None else order[: max(1, rows)]
    for job, state in visible:
        top = bool(scores) and state.score == max(scores)
        view.add_row(
            _cut(job.name),
            Text(state.state, STYLES[state.state]),
            str(state.epoch or ""),
            Text(_score(state), "bold" if top else ""),
            _cut(printable(state.error)),
        )
    if len(visible) < len(order):
        view.add_row(Text(f"and {len(order) - len(visible)} more", "dim"))
    return view


def _cut(text: str) -> Text:
    """Return text of one line that makes room for the columns that are not cut."""
    return Text(text, overflow="ellipsis", no_wrap=True)


def _place(state: JobState) -> tuple[int, float]:
    if math.isnan(state.score):
        return list(STYLES).index(state.state), math.inf
    return list(STYLES).index(state.state), -state.score


def _score(state: JobState) -> str:
    if math.isnan(state.score):
        return ""
    return f"{abs(state.score):.4f}"
