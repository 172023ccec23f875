"""Sweeps: started with -m, continued after a kill, looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segbench.config.compose import check_sweep, compose_config, plain_config
from segbench.config.schema import read_section
from segbench.config.sweep_settings import Launcher, SearchSettings, SweepSettings, read_launcher
from segbench.config.words import parse
from segbench.core.errors import ConfigError, Interrupted, SegbenchError
from segbench.core.files import make_folder, write_json
from segbench.core.states import RunState
from segbench.core.terminal import outliving_the_terminal
from segbench.core.text import say
from segbench.runs.environment import machine, versions
from segbench.runs.lock import locked
from segbench.runs.provenance import provenance
from segbench.sweeps.folder import JobState, SweepFolder, is_sweep
from segbench.sweeps.launchers import check_launcher, jobs_at_once, launch_jobs
from segbench.sweeps.overview import Overview, table
from segbench.sweeps.plan import Job, count_jobs, plan_jobs
from segbench.sweeps.summary import write_summary
from segbench.sweeps.work import compose_examples

if TYPE_CHECKING:
    from segbench.sweeps.search import Search

OWN = ("sweep", "launcher", "hydra")
"""Where settings of the sweep itself begin; they are no part of its jobs."""
FORBIDDEN = ("plugins", "resume", "logger", "data.download", "data.cache", "launcher.address")
"""What the plan of a sweep cannot decide, since it may be untrusted: whose code runs, and what is reached."""
TYPED = ("plugins", "logger", "data.download", "data.cache", "hydra.searchpath")
"""Settings of the jobs that are never written down: they have to be typed again where a sweep is continued."""

CHANGED = ("launcher", "sweep.search.trials", "sweep.search.max_hours")
"""What may be other than before where a sweep is continued."""
SEVERAL = (
    "{} trials at a time: what a trial gets depends on which of them end first, so another search may choose others"
)


class SweepFailedError(SegbenchError):
    """Some jobs failed; the exit status is that of the first."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@outliving_the_terminal()
def run_sweep(words: Sequence[str]) -> None:
    """Run every combination of the values in `words`, or search them, in a new folder.

    Raises:
        ConfigError: for a mistake in any of the words, before anything is written.
        SweepFailedError: at the end, if any job failed.
        Interrupted: if a signal stopped it; it can be continued.
    """
    typed = [word for word in words if _starts(word, TYPED)]
    words = [word for word in words if word not in typed]
    own = [word for word in words if _root(word) in OWN]
    config = compose_config(own)
    plain = plain_config(config)
    settings = read_section(SweepSettings, plain["sweep"], key="sweep")
    launcher = read_launcher(plain["launcher"])
    shared = [word for word in words if _root(word) not in OWN]
    given = {override.get_key_element() for override in parse(shared)}
    presets = [f"{key}={value}" for key, value in settings.params.items() if key not in given]
    words = [*presets, *shared]
    if settings.search is None:
        say(Console(), f"a sweep of {count_jobs(words, settings.limit):,} jobs")
    if any(override.is_sweep_override() for override in parse(typed)):
        raise ConfigError(f"{', '.join(TYPED)} are the same for all jobs of a sweep; give one value")
    sweep = SweepFolder(Path(config.hydra.sweep.dir).absolute())
    if settings.search is None:
        jobs = compose_examples(sweep, plan_jobs(words), typed=typed)
    else:
        check_sweep([*typed, *_checkable(words)])
        jobs = []
    if is_sweep(sweep.path):
        recorded, jobs = _read_plan(sweep)
        if recorded != _recorded(own, words):  # but a job that was put back into the queue runs its script again
            raise ConfigError(f"{sweep.path} holds another sweep already: give a new folder as hydra.sweep.dir")
    _Work(sweep, own, words=words, jobs=jobs, search=settings.search, launcher=launcher, typed=typed).run()


@outliving_the_terminal()
def resume_sweep(path: Path, words: Sequence[str]) -> None:
    """Continue a sweep: completed jobs are left as they are, started ones go on exactly, the others run.

    Args:
        path: Its folder.
        words: Settings that are among CHANGED, and those that are never written down.

    Raises:
        ConfigError: if the folder's plan cannot be read, or other settings are given.
        SweepFailedError, Interrupted: as `run_sweep`.
    """
    sweep = SweepFolder(path.absolute())
    recorded, jobs = _read_plan(sweep)
    typed = [word for word in words if _starts(word, TYPED)]
    changed = [word for word in words if word not in typed]
    other = [word for word in changed if not _starts(word, CHANGED)]
    if other:
        raise ConfigError(f"'{other[0]}' cannot be changed in a sweep that has begun; {', '.join(CHANGED)} can")
    own = [*(word for word in recorded if _root(word) in OWN[:2]), *changed]
    shared = [word for word in recorded if _root(word) not in OWN]
    plain = plain_config(compose_config(own))
    search = read_section(SweepSettings, plain["sweep"], key="sweep").search
    launcher = read_launcher(plain["launcher"])
    _Work(sweep, own, words=shared, jobs=jobs, search=search, launcher=launcher, typed=typed).run()


def sweep_status(path: Path, console: Console) -> None:
    """Print where every job of a sweep stands."""
    sweep = SweepFolder(path.absolute())
    if not is_sweep(sweep.path):
        raise ConfigError(f"{path} is not the folder of a sweep: it has no sweep.json")
    _, jobs = sweep.read()
    console.print(table(jobs, [sweep.state(job) for job in jobs]))


class _Work:
    """A sweep at work.

    Args:
        sweep: Its folder.
        own: The words about the sweep itself.
        words: Those of its jobs.
        jobs: Its jobs; a search appends to them.
        search: How jobs are chosen by the ones before; None for those that there are.
        launcher: Who runs them.
        typed: Settings of the jobs that are never written down.
    """

    def __init__(
        self,
        sweep: SweepFolder,
        own: Sequence[str],
        *,
        words: Sequence[str],
        jobs: list[Job],
        search: SearchSettings | None,
        launcher: Launcher,
        typed: Sequence[str],
    ) -> None:
        self.typed = list(typed)
        self.sweep = sweep
        self.own = list(own)
        self.words = list(words)
        self.jobs = jobs
        self.search = search
        self.launcher = launcher
        self.console = Console()

    def run(self) -> None:
        search = None
        if self.search is not None:
            search = self._make_search(self.search)
        check_launcher(self.launcher)
        make_folder(self.sweep.path)
        with locked(self.sweep.path):
            self.sweep.forget_stop()
            self._note(self.jobs)
            self._record_code()
            say(self.console, f"sweep folder {self.sweep.path}")
            if search is not None and search.at_once > 1:
                say(self.console, SEVERAL.format(search.at_once))
            try:
                with Overview(self.sweep, self.console) as overview:
                    overview.jobs = self.jobs
                    if search is not None:
                        overview.planned = search.trials
                    self._work(overview, search)
            except (Interrupted, KeyboardInterrupt) as error:
                self._compare(write_summary(self.sweep, self.jobs))
                code = getattr(error, "exit_code", 130)
                requeue = getattr(error, "requeue", False)
                said = f"the sweep was stopped; continue it with resume={self.sweep.path}"
                raise Interrupted(said, code, requeue=requeue) from None
            states = write_summary(self.sweep, self.jobs)
            if search is not None and search.note:
                say(self.console, search.note)
            self._report(states)

    def _make_search(self, settings: SearchSettings) -> Search:
        from segbench.sweeps.search import Search  # half a second

        return Search(self.sweep, self.words, settings=settings, at_once=jobs_at_once(self.launcher))

    def _note(self, jobs: list[Job]) -> None:
        self.sweep.write(_recorded(self.own, self.words), jobs)

    def _record_code(self) -> None:
        """Record what the jobs run with; those that are continued with something else say so themselves."""
        if not self.sweep.environment.exists():
            write_json(self.sweep.environment, {**machine(), "versions": versions(), **provenance(self._plugins())})

    def _plugins(self) -> list[str]:
        given = [override.value() for override in parse(self.typed) if override.get_key_element() == "plugins"]
        last = given[-1] if given else None
        if not isinstance(last, list):
            return []
        return [str(plugin) for plugin in last]

    def _work(self, overview: Overview, search: Search | None) -> None:
        left = [job for job in self.jobs if not self.sweep.state(job).state.is_settled]
        jobs: Iterable[Job] = left
        at_once = None
        if search is not None:
            jobs = search.jobs(self.jobs, self._note)
            at_once = search.at_once
        elif not left:
            return
        outcomes = launch_jobs(self.sweep, jobs, settings=self.launcher, at_once=at_once, typed=self.typed)
        with closing(outcomes):
            for job, state in outcomes:
                if state is RunState.INTERRUPTED:
                    raise self.sweep.stop()
                if state is RunState.FAILED and self.sweep.state(job).state is not RunState.FAILED:
                    self.sweep.write_failure(job, "its process ended before it could say why", exit_code=1)
                if search is not None:
                    search.tell(job, state)
                overview.finished(job, state)

    def _compare(self, states: list[JobState]) -> bool:
        """Write the comparison of the jobs that are completed; return whether there are any."""
        from segbench.commands.compare import compare

        if any(state.state is RunState.COMPLETED for state in states):
            compare([str(self.sweep.path)], form="md", out=self.sweep.path / "compare.md")
            return True
        return False

    def _report(self, states: list[JobState]) -> None:
        from segbench.commands.compare import compare

        if self._compare(states):
            compare([str(self.sweep.path)])
        say(self.console, f"summary {self.sweep.summary}")
        failed = [(job, state) for job, state in zip(self.jobs, states, strict=True) if state.state is RunState.FAILED]
        if failed:
            job, state = failed[0]
            raise SweepFailedError(
                f"{len(failed)} of {len(states)} jobs failed; the first, {job.name}: {state.error}",
                self.sweep.exit_code(job),
            )


def _recorded(own: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return what is written down: where the folder is, it knows itself, and it decides nothing else of Hydra."""
    return [*(word for word in own if _root(word) != "hydra"), *words]


def _starts(word: str, names: Sequence[str]) -> bool:
    key = word.lstrip("+~").split("=", 1)[0].split("@", 1)[0]
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in names)


def _root(word: str) -> str:
    return word.lstrip("+~").split("=", 1)[0].split(".", 1)[0].split("/", 1)[0].split("@", 1)[0]


def _checkable(words: Sequence[str]) -> list[str]:
    """Return words with each interval replaced by its ends, which a check can compose."""
    from hydra.core.override_parser.types import IntervalSweep

    found = []
    for override in parse(words):
        value = override.value()
        ends = None
        if isinstance(value, IntervalSweep):
            ends = f"{value.start},{value.end}"
        found.append(f"{override.get_key_element()}={ends}" if ends else override.input_line or "")
    return found


def _read_plan(sweep: SweepFolder) -> tuple[list[str], list[Job]]:
    """Return the words and jobs that were written down; a ConfigError names what they cannot decide."""
    recorded, jobs = sweep.read()
    for word in (*recorded, *(word for job in jobs for word in job.words)):
        if _starts(word, FORBIDDEN) or word.lstrip("+").startswith(("hydra.", "hydra/")) or "${" in word:
            raise ConfigError(f"{sweep.manifest} holds '{word[:80]}', which a sweep that is continued cannot decide")
    return recorded, jobs
