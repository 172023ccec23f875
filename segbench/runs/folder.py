"""Where everything of a run lies. The folder is all that evaluate, resume and compare need."""

from __future__ import annotations

import os
import platform
import re
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.core import reading
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.files import as_json, write_atomic, write_even_if_full, write_json
from segbench.core.plain import Plain
from segbench.core.states import RunState, recorded_state
from segbench.runs.lock import is_given_up
from segbench.runs.results import Results, has_metrics, is_results

MAX_JSON = 50_000_000
"""The largest JSON file in bytes that is read: a thousand classes, each with all its scores, need less than one."""

COMPILATION = "compilation"
"""What environment.json calls the decision of `trainer.compile=auto`."""

ROOMS = ("samples", "plots", ".hydra", "tensorboard", "csv")
"""Folders whose files are written in place; those in checkpoints are replaced, which never follows a link."""

FILES = (
    "config.yaml",
    "command.txt",
    "environment.json",
    "status.json",
    "metrics.csv",
    "results.json",
    "digests.csv",
    "val_images.csv",
    "test_images.csv",
    "trackers.json",
    "run.log",
    ".lock",
)
"""Files that a resume writes or appends to."""


_UNWRITTEN = re.compile(r"\.config\.yaml\.[0-9]{1,7}\.tmp")


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run and the small files that are replaced atomically."""

    path: Path
    """The folder; nothing in it need exist."""

    @property
    def config(self) -> Path:
        """The resolved configuration, with the chosen options, versions and git commit."""
        return self.path / "config.yaml"

    @property
    def command(self) -> Path:
        """The exact command line; one line more for every resume."""
        return self.path / "command.txt"

    @property
    def environment(self) -> Path:
        """Device, versions, threads and seeds."""
        return self.path / "environment.json"

    @property
    def status(self) -> Path:
        """Whether the run is running, completed, failed or interrupted."""
        return self.path / "status.json"

    @property
    def metrics(self) -> Path:
        """The append-only table of logged steps and epochs."""
        return self.path / "metrics.csv"

    @property
    def digests(self) -> Path:
        """The digest of the weights at every checkpoint, by step."""
        return self.path / "digests.csv"

    @property
    def profile(self) -> Path:
        """Where the time of the last session went."""
        return self.path / "profile.txt"

    @property
    def results(self) -> Path:
        """Best and last of every metric, costs and sizes."""
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        """Step-numbered checkpoints, `latest.json` and `best.ckpt`."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Panels of input, truth and prediction by epoch."""
        return self.path / "samples"

    @property
    def worst(self) -> Path:
        """Thumbnails of the test pictures of lowest mean IoU, by their numbers."""
        return self.samples / "worst"

    @property
    def plots(self) -> Path:
        """Curves and the confusion matrix as PNG."""
        return self.path / "plots"

    @property
    def hydra(self) -> Path:
        """The composed configuration and the overrides as Hydra writes them."""
        return self.path / ".hydra"

    @property
    def hidden(self) -> Path:
        """Present where `segbench hide` has left the run out of comparisons; it says why."""
        return self.path / "hidden.txt"

    @property
    def trackers(self) -> Path:
        """What was sent to which experiment tracker."""
        return self.path / "trackers.json"

    @property
    def log(self) -> Path:
        """Everything the run said."""
        return self.path / "run.log"

    def per_image(self, split: str) -> Path:
        """The scores of every image of `val` or `test`, for paired comparison."""
        return self.path / f"{split}_images.csv"

    def exists(self) -> bool:
        """Whether a run was started here: after its folder for checkpoints, config.yaml is the first that it writes."""
        return self.status.is_file() or (self.config.is_file() and self.checkpoints.is_dir())

    def has_begun(self) -> bool:
        """Whether a run has ever written a checkpoint; one that has not is started again at step 0.

        A run that has lost all of its checkpoints has begun: it is not started again without a word.
        """
        written = next(self.checkpoints.glob("step-*.ckpt*"), None)
        return written is not None or self.digests.is_file() or self.results.is_file()

    def is_blank(self) -> bool:
        """Whether nothing is in the folder but what a run leaves that was killed before it had written anything."""
        rooms = [self.checkpoints, *(self.path / name for name in ROOMS)]
        for path in self.path.iterdir():
            is_ours = path.name == ".lock" or _UNWRITTEN.fullmatch(path.name) is not None
            if not is_ours and not (path in rooms and path.is_dir() and not any(path.iterdir())):
                return False
        return True

    def forget_beginning(self) -> None:
        """Remove the tables of a run that starts again at its first step."""
        for path in (self.metrics, self.digests):
            path.unlink(missing_ok=True)

    def create(self) -> None:
        """Make the folder and its rooms."""
        for folder in (self.path, self.checkpoints, self.samples, self.plots, self.hydra):
            folder.mkdir(parents=True, exist_ok=True)

    def add_command(self, argv: Sequence[str]) -> None:
        """Append a command line, quoted so that it can be pasted."""
        with self.command.open("a") as file:
            file.write(shlex.join(argv) + "\n")

    def write_status(self, state: RunState, **details: object) -> None:
        """Replace the status; `state` is one of `RECORDED`."""
        write_even_if_full(self.status, as_json({"state": state, **details}))

    def read_status(self) -> Plain:
        """Return the status, or `{"state": "absent"}` where the run never started; raises CheckpointError."""
        if not self.status.is_file():
            return {"state": RunState.ABSENT}
        status = read_json(self.status)
        state = recorded_state(status.get("state"))
        if state is None:
            raise CheckpointError(f"{self.status} is not the status of a run: it names no state that a run can have")
        return status | state_now(self.path, state, status=status)

    def read_environment(self) -> Plain:
        """Return where the run was trained and what it was resumed with; nothing where that was not written yet."""
        if not self.environment.is_file():
            return {}
        return read_json(self.environment)

    def read_results(self) -> Results:
        """Return the results of a run that ended; a CheckpointError says that the file holds something else."""
        results = read_json(self.results)
        if not has_metrics(results):
            raise CheckpointError(
                f"{self.results} is not the results of a run: its metrics must have a best and a last"
            )
        if is_results(results):
            return results
        raise CheckpointError(f"{self.results} is not the results of a run: it needs steps and a monitor")

    def check_writable_inside(self) -> None:
        """Raise a ConfigError if a resume would write through a link, or into something that is no file or folder.

        The run folder itself may be reached through a link; what is in it has to be in it.
        """
        files = [self.path / name for name in FILES]
        places = [(self.checkpoints, stat.S_ISDIR), *((file, stat.S_ISREG) for file in files)]
        for room in (self.path / name for name in ROOMS):
            places.append((room, stat.S_ISDIR))
            places.extend((place, _is_file_or_folder) for place in _below(room))
        for place, is_right in places:
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigError(f"{place} cannot be looked at: {error.strerror}") from None
            if not is_right(mode):
                if stat.S_ISLNK(mode):
                    kind = "a symbolic link"
                else:
                    kind = "not what a run has there"
                raise ConfigError(f"{place} is {kind}, but a resume writes only inside the run folder; remove it")

    def write_results(self, results: Results) -> None:
        """Replace the results."""
        write_json(self.results, results)

    def write_text(self, path: Path, text: str) -> None:
        """Replace a text file of this run."""
        write_atomic(path, text)


def state_now(folder: Path, state: RunState, *, status: Mapping[str, object]) -> Plain:
    """Return `state`, and the `error` where a run that status.json calls running was killed on this machine."""
    here = status.get("machine") == platform.node()
    if state is RunState.RUNNING and here and is_given_up(folder):
        return {"state": RunState.INTERRUPTED, "error": "its process was killed; it can be resumed"}
    return {"state": state}


def read_json(path: Path) -> Plain:
    """Return the JSON object in a file of a run folder; a CheckpointError names a file that holds something else."""
    try:
        return reading.read_json(path, MAX_JSON)
    except reading.UnreadableError as error:
        raise CheckpointError(str(error)) from None


def _is_file_or_folder(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _below(folder: Path) -> Iterator[Path]:
    if not folder.is_symlink():
        for root, folders, files in os.walk(folder):  # lists links to folders, but does not enter them
            yield from (Path(root) / name for name in (*folders, *files))


def open_run(path: str | Path) -> RunFolder:
    """Return the run at `path`: the folder, or any file directly in it or in its checkpoints.

    Raises:
        CheckpointError: if there is no such folder, or no run in it.
    """
    try:
        start = Path(path).expanduser().absolute()
        there = start.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a user that does not exist, a zero in it
        raise CheckpointError(f"{str(path)[:80]!r} cannot be the path of a run folder: {error!s:.80}") from None
    if not there:
        raise CheckpointError(f"there is no run folder at {start}; give the path printed at the end of a run")
    for folder in (start, *list(start.parents)[:2]):
        if RunFolder(folder).exists():
            return RunFolder(folder)
    if start.is_dir() and RunFolder(start).is_blank():
        raise CheckpointError(
            f"{start} is not a run folder yet: a run that was stopped here has written nothing, so start it again with"
            f" the same command and hydra.run.dir={start}"
        )
    raise CheckpointError(
        f"{start} is not a run folder: it has no status.json; give the path printed at the start of a run"
    )
