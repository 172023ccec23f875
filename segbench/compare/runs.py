"""Finding run folders and reading what `compare` wants of them. Broken ones are runs too, with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segbench.compare.files import Unusable, number, read_object
from segbench.compare.settings import read_settings
from segbench.core.errors import ConfigError
from segbench.core.plain import Plain, inner
from segbench.core.states import RunState, recorded_state
from segbench.runs.folder import RunFolder, state_now

COSTS = ("parameters", "flops_per_image", "images_per_second", "peak_memory_bytes", "seconds")
MAX_STATUS = 100_000
MAX_RESULTS = 4_000_000
_ROOMS = {"checkpoints", "samples", "plots", ".hydra"}


class NoRunsError(ConfigError):
    """There are no runs, which may still come."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder as it lies there."""

    path: Path
    """The folder."""
    name: str
    """What tells it apart below the given folder."""
    state: RunState
    """What status.json names; interrupted where that says running and the process was killed on this machine."""
    error: str = ""
    """Why it failed or is broken."""
    settings: dict[str, str] = field(default_factory=dict)
    """By dotted name; chosen options by group."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The best of each metric that was measured."""
    last: dict[str, float] = field(default_factory=dict)
    """The last of each."""
    costs: dict[str, float] = field(default_factory=dict)
    """Those of COSTS that are known."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Of the data, by split."""
    test_is_val: bool = False
    """Whether its test was taken from val, all of it or a part, as the data had none."""
    images: dict[str, int] = field(default_factory=dict)
    """How many images each split has."""
    baselines: Plain = field(default_factory=dict)
    """By split: scores of trivial predictions, such as the most frequent class everywhere."""
    skipped_steps: int = 0
    """Steps of training that were left out for a loss or gradient that is no number."""
    forced: tuple[str, ...] = ()
    """What was changed by resumes with `resume.force=true`: its settings hold for its last part alone."""
    classes: tuple[str, ...] = ()
    """Their names."""
    finished: float | None = None
    """Seconds since 1970."""
    hidden: bool = False
    """Whether `segbench hide` has left it out of comparisons."""

    @property
    def tags(self) -> list[str]:
        """The words that the run was given to be found by."""
        try:
            tags = json.loads(self.settings.get("tags", "[]"))
        except (ValueError, RecursionError):
            return []
        if not isinstance(tags, list):
            return []
        return [tag for tag in tags if isinstance(tag, str)]

    @property
    def note(self) -> str:
        """The remark that the run was given, "" where there is none."""
        note = self.settings.get("note", "")
        if note == "null":
            return ""
        return note

    @property
    def counts(self) -> bool:
        """Whether its numbers may be compared: only those of completed runs are final."""
        return self.state is RunState.COMPLETED


def find_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Return every run at or below the folders, ordered by path; links to folders are not followed.

    Raises:
        NoRunsError: if a folder is not there, or no run lies below any.
    """
    found: dict[Path, str] = {}
    for given in folders:
        if not str(given):
            raise ConfigError("a folder to compare must be a path, got an empty word")
        root = Path(given).expanduser().absolute()
        if not root.is_dir():
            raise NoRunsError(f"there is no folder {given}; give a run folder, or one with runs below it")
        root = root.resolve()
        start = str(root / "_")[:-1]  # with the separator, which / itself ends in
        for folder in _run_folders(root):
            inside = folder.removeprefix(start)
            if folder == str(root):
                inside = root.name
            elif len(folders) > 1:
                inside = str(Path(given) / inside)
            found.setdefault(Path(folder), inside)
    if not found:
        raise NoRunsError(f"there are no runs below {', '.join(map(str, folders))}: no folder with a status.json")
    return [read_run(path, found[path]) for path in sorted(found, key=lambda path: path.parts)]


def _run_folders(root: Path) -> Iterator[str]:
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            continue  # a folder that may not be listed shows no run
        is_run = any(entry.name == "status.json" for entry in entries)
        if is_run:
            yield folder
        folders = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
        waiting += [entry.path for entry in folders if not (is_run and entry.name in _ROOMS)]


def read_run(path: Path, name: str) -> Run:
    """Return the run in a folder; one that cannot be read has the state `broken` and the reason as its error."""
    folder = RunFolder(path)
    hidden = os.path.lexists(folder.hidden)
    try:
        status = read_object(folder.status, MAX_STATUS)
        state = recorded_state(status.get("state"))
        if state is None:
            raise Unusable("status.json names no state that a run can have")
        status |= state_now(path, state, status=status)
        state = RunState(str(status["state"]))
        error = status.get("error")
        run = Run(
            path,
            name,
            state,
            error if isinstance(error, str) else "",
            settings=read_settings(folder.config),
            finished=number(status.get("finished")),
            hidden=hidden,
        )
        return _with_results(run, read_object(folder.results, MAX_RESULTS)) if run.counts else run
    except Unusable as unusable:
        return Run(path, name, RunState.BROKEN, str(unusable), hidden=hidden)


def _with_results(run: Run, results: Plain) -> Run:
    metrics = results.get("metrics")
    if not isinstance(metrics, dict) or not all(isinstance(entry, dict) for entry in metrics.values()):
        raise Unusable("results.json holds no metrics")
    classes = results.get("classes")
    return replace(
        run,
        metrics=_numbers({name: entry.get("best") for name, entry in metrics.items()}),
        last=_numbers({name: entry.get("last") for name, entry in metrics.items()}),
        costs=_numbers({name: results.get(name) for name in COSTS}),
        fingerprints=_texts(inner(results, "data_fingerprint")),
        test_is_val=results.get("test_is_val") is True,
        images={name: int(value) for name, value in _numbers(inner(results, "images")).items()},
        baselines=inner(results, "baselines"),
        skipped_steps=int(number(inner(results, "skipped_steps").get("count")) or 0),
        forced=_forced(results.get("resumes")),
        classes=tuple(map(str, classes)) if isinstance(classes, list) else (),
    )


def _forced(resumes: object) -> tuple[str, ...]:
    """Return what the records of resumes name as forced, in their order."""
    records = []
    if isinstance(resumes, list):
        records = [one.get("forced") for one in resumes if isinstance(one, dict)]
    return tuple(str(word) for record in records if isinstance(record, list) for word in record)


def _numbers(values: Plain) -> dict[str, float]:
    found = {name: number(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _texts(values: Plain) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}
