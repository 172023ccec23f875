"""Where everything of a run lies. The folder is all that evaluate, resume and compare need."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.core.errors import ConfigError
from segbench.core.files import write_atomic, write_json


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run and the small files that are replaced atomically."""

    path: Path

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
    def plots(self) -> Path:
        """Curves and the confusion matrix as PNG."""
        return self.path / "plots"

    @property
    def hydra(self) -> Path:
        """The composed configuration and the overrides as Hydra writes them."""
        return self.path / ".hydra"

    @property
    def log(self) -> Path:
        """Everything the run said."""
        return self.path / "run.log"

    def per_image(self, split: str) -> Path:
        """The scores of every image of `val` or `test`, for paired comparison."""
        return self.path / f"{split}_images.csv"

    def exists(self) -> bool:
        """Whether a run was started here."""
        return self.status.is_file()

    def create(self) -> None:
        """Make the folder and its rooms."""
        for folder in (self.path, self.checkpoints, self.samples, self.plots, self.hydra):
            folder.mkdir(parents=True, exist_ok=True)

    def add_command(self, argv: Sequence[str]) -> None:
        """Append a command line, quoted so that it can be pasted."""
        with self.command.open("a") as file:
            file.write(shlex.join(argv) + "\n")

    def write_status(self, state: str, **details: Any) -> None:
        """Replace the status; `state` is running, completed, failed or interrupted."""
        write_json(self.status, {"state": state, **details})

    def read_status(self) -> dict[str, Any]:
        """Return the status, or `{"state": "absent"}` where the run never started."""
        return read_json(self.status) if self.status.is_file() else {"state": "absent"}

    def write_results(self, results: dict[str, Any]) -> None:
        """Replace the results."""
        write_json(self.results, results)

    def write_text(self, path: Path, text: str) -> None:
        """Replace a text file of this run."""
        write_atomic(path, text)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; a ConfigError names a file that holds something else."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return value


def open_run(path: str | Path) -> RunFolder:
    """Return the run at `path` (the folder, or any file directly in it or in its checkpoints); raises ConfigError."""
    start = Path(path).expanduser().absolute()
    if not start.exists():
        raise ConfigError(f"there is no run folder at {start}; give the path printed at the end of a run")
    for folder in (start, *list(start.parents)[:2]):
        if RunFolder(folder).exists():
            return RunFolder(folder)
    raise ConfigError(
        f"{start} is not a run folder: it has no status.json; give the path printed at the start of a run"
    )
