"""Attacks on runs, worked off side by side, since most of their time is the start of a process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segbench.runs.folder import read_json
from tests.support import killing
from tests.support.tiny_sources import tiny_words


@dataclass(frozen=True)
class Case:
    """What is done to a run before it is resumed for the last time.

    words: settings of the run. data: the option of conf/data whose small data are added to them.
    peace: settings of the run that is left in peace, which it has to equal; None where the test itself makes that one
        and resumes this one.
    """

    name: str
    attack: Callable[[killing.Run], None]
    words: Sequence[str]
    data: str = ""
    peace: Sequence[str] | None = None

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


class Attacks:
    """The runs under attack, and those in peace; each of these is made once."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.folder, self.pool = folder, pool
        self.runs: dict[str, killing.Run] = {}
        self.victims: dict[str, Future[Path]] = {}
        self.peaceful: dict[tuple[str, ...], Future[Path]] = {}

    def submit(self, case: Case) -> None:
        """Queue a case; the run in peace comes first, so that no case waits for what cannot start."""
        if case.name in self.runs:
            return
        if case.peace is not None and tuple(case.peace) not in self.peaceful:
            run = killing.Run(self.folder / f"peace-{len(self.peaceful)}" / "run", case.peace, warm=False)
            self.peaceful[tuple(case.peace)] = self.pool.submit(_finish, run)
        data = [f"data={case.data}", *tiny_words(case.data, self.folder / "data")] if case.data else []
        run = killing.Run(self.folder / str(case) / "run", [*data, *case.words])
        self.runs[case.name] = run
        self.victims[case.name] = self.pool.submit(_attack, case, run)

    def differences(self, case: Case) -> list[str]:
        """Wait for a case, and return in what it differs from the run in peace."""
        self.submit(case)
        victim = self.victims[case.name].result()
        return list(killing.differences(self.peaceful[tuple(case.peace or ())].result(), victim))


def _attack(case: Case, run: killing.Run) -> Path:
    case.attack(run)
    return _finish(run) if case.peace is not None else run.folder


def _finish(run: killing.Run) -> Path:
    if not (run.folder / "status.json").is_file() or read_json(run.folder / "status.json")["state"] != "completed":
        run.finish()
    assert read_json(run.folder / "status.json")["state"] == "completed"
    return run.folder
