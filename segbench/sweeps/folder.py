"""The folder of a sweep: what its jobs are, and where each stands. Read without torch; it may be untrusted."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.core.errors import CheckpointError, ConfigError, Interrupted, exit_code_of
from segbench.core.files import write_json
from segbench.core.plain import Json
from segbench.core.score_names import at_both_sizes
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.metrics_log import read_metrics
from segbench.runs.provenance import SHARED
from segbench.runs.results import Results
from segbench.sweeps.plan import Job

NAME = re.compile(r"[0-9]{3,6}(_[A-Za-z0-9._=+-]+)?")
MANIFEST = "sweep.json"


@dataclass(frozen=True)
class JobState:
    """Where a job stands."""

    state: RunState
    """Its state."""

    error: str = ""
    """Why it failed; empty where it has not."""

    epoch: int | None = None
    """Epochs that are over; None before the first."""

    score: float = math.nan
    """The monitored score of its best epoch so far; NaN before the first validation."""

    results: Results | None = None
    """The content of results.json of a completed job, else None."""


@dataclass(frozen=True)
class SweepFolder:
    """The paths of a sweep."""

    path: Path
    """The folder."""

    @property
    def manifest(self) -> Path:
        """The jobs and how they are run."""
        return self.path / MANIFEST

    @property
    def summary(self) -> Path:
        """One row a job, written at the end."""
        return self.path / "summary.csv"

    @property
    def environment(self) -> Path:
        """The packages and the code that the jobs run with, recorded once for all of them."""
        return self.path / SHARED

    @property
    def study(self) -> Path:
        """What a search has learned, for Optuna."""
        return self.path / "study.log"

    def run(self, job: Job) -> RunFolder:
        """The run folder of a job."""
        return RunFolder(self.path / job.name)

    def write(self, words: Sequence[str], jobs: Sequence[Job]) -> None:
        """Write what the sweep consists of; `words` are those of its command line."""
        rows = [{"name": job.name, "words": list(job.words), "varied": dict(job.varied)} for job in jobs]
        write_json(self.manifest, {"words": list(words), "jobs": rows})

    def read(self) -> tuple[list[str], list[Job]]:
        """Return the words of the sweep and its jobs; raises CheckpointError for a file that is not a sweep's."""
        content: Json = read_json(self.manifest)
        try:
            words = [_text(word) for word in content["words"]]
            jobs = [
                Job(
                    _name(row["name"]),
                    tuple(_text(word) for word in row["words"]),
                    {_text(key): _text(value) for key, value in row["varied"].items()},
                )
                for row in content["jobs"]
            ]
        except (KeyError, TypeError, AttributeError, ValueError):
            raise CheckpointError(f"{self.manifest} is not the plan of a sweep") from None
        return words, jobs

    def check_inside(self, job: Job) -> None:
        """Raise a ConfigError where a link would lead the writing of a job out of the sweep."""
        failures = self.path / "failures"
        for path in (self.run(job).path, failures, failures / f"{job.name}.txt", self.study):
            if path.is_symlink():
                raise ConfigError(f"{path} is a link, but a sweep writes only inside its folder; remove it")

    def _failure(self, job: Job) -> Path:
        return self.path / "failures" / f"{job.name}.json"

    def write_failure(self, job: Job, error: str, *, exit_code: int) -> None:
        """Keep why a job failed, in its log too; one that was refused has no run folder to say it."""
        self._failure(job).parent.mkdir(parents=True, exist_ok=True)
        write_json(self._failure(job), {"error": error, "exit_code": exit_code})
        log = self.run(job).log
        if log.is_file() and not log.is_symlink():
            with log.open("a") as file:
                file.write(f"failed: {error}\n")

    def exit_code(self, job: Job) -> int:
        """Return the exit status of a job that failed."""
        if not self._failure(job).is_file():
            return 1
        code = read_json(self._failure(job)).get("exit_code")
        if isinstance(code, int) and 0 < code < 256:
            return code
        return 1

    def write_stop(self, error: BaseException) -> None:
        """Keep how a signal stopped a job, for the process that has started it elsewhere."""
        requeue = bool(getattr(error, "requeue", False))
        write_json(self._stop, {"exit_code": exit_code_of(error), "requeue": requeue})

    def stop(self) -> Interrupted:
        """Return the error that ends the sweep as a signal has ended one of its jobs."""
        found: Json = {}
        if self._stop.is_file():
            found = read_json(self._stop)
        code = 130 if found.get("exit_code") == 130 else 143
        return Interrupted("a job was stopped", code, requeue=found.get("requeue") is True)

    def forget_stop(self) -> None:
        """Take a stop back: the sweep goes on."""
        self._stop.unlink(missing_ok=True)

    @property
    def _stop(self) -> Path:
        return self.path / "stopped.json"

    def forget_failure(self, job: Job) -> None:
        """Take the failure back: the job is tried again."""
        self._failure(job).unlink(missing_ok=True)

    def state(self, job: Job) -> JobState:
        """Return where a job stands; what cannot be read is a failure that says so."""
        run = self.run(job)
        try:
            if self._failure(job).is_file():
                return JobState(RunState.FAILED, str(read_json(self._failure(job)).get("error", "")), *_progress(run))
            if not run.exists():
                return JobState(RunState.QUEUED)
            status = run.read_status()
            if status["state"] is RunState.ABSENT:  # killed before it had one: it starts again
                return JobState(RunState.QUEUED)
            results = None
            if status["state"] is RunState.COMPLETED and run.results.is_file():
                results = run.read_results()
            return JobState(RunState(str(status["state"])), str(status.get("error", "")), *_progress(run), results)
        except (CheckpointError, OSError) as error:
            return JobState(RunState.FAILED, str(error))


def is_sweep(path: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (path / MANIFEST).is_file()


def _progress(run: RunFolder) -> tuple[int | None, float]:
    if not run.metrics.is_file():
        return None, math.nan
    rows = [row for row in read_metrics(run.metrics) if row["split"] == "epoch"]
    scores = [float(row[name]) for row in rows for name in at_both_sizes("val/mean_iou") if name in row]
    scores = scores or [-float(row[name]) for row in rows for name in at_both_sizes("val/depth/rmse") if name in row]
    return (int(rows[-1]["epoch"]) + 1 if rows else None), max(scores, default=math.nan)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError
    return value


def _name(value: object) -> str:
    name = _text(value)
    if not NAME.fullmatch(name):
        raise ValueError
    return name
