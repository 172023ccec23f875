"""Weights & Biases: offline in the run folder, or to its server where mode=online is given."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from segbench.core.errors import ConfigError
from segbench.core.states import RunState
from segbench.tracking.tracker import About, Identity, Tracker, need
from segbench.tracking.wandb_files import reached_in

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

FOLDER = "wandb"
STEP = "step"
"""The axis of all curves. W&B's own counter of calls would refuse a step that comes after a later one."""


class Wandb(Tracker):
    """Writes `wandb/` in the run folder; `wandb sync RUN/wandb/offline-run-*` sends it to the server.

    Args:
        project: The project that runs are sorted into.
        entity: The user or team that it belongs to; None for the user's own.
        mode: `offline` writes files alone; `online` sends to the server that W&B is set up for.
    """

    def __init__(
        self, project: str = "segbench", entity: str | None = None, *, mode: Literal["offline", "online"] = "offline"
    ) -> None:
        need("wandb", "wandb")
        self.project = project
        self.entity = entity
        self.mode = mode

    @property
    def place(self) -> str:
        """The mode and the project."""
        return f"wandb {self.mode} {self.entity or ''}/{self.project}"

    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin a run, or a further part of one: parts with the same id are one run on the server."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would tell its makers what went wrong
        import wandb

        folder = about.folder / FOLDER
        if folder.is_symlink():  # links within it are W&B's own, to its log, and each part is a new folder
            raise ConfigError(f"{folder} is a symbolic link, but a tracker writes inside the run folder; remove it")
        folder.mkdir(exist_ok=True)
        if identity is None or identity != _identity(about.folder, identity.get("salt", "")):
            identity = _identity(about.folder, secrets.token_hex(8))
        self._parts = sorted(folder.glob(f"offline-run-*-{identity['id']}/run-{identity['id']}.wandb"))
        if self.mode == "offline" and not self._parts:
            identity = _identity(about.folder, secrets.token_hex(8))
        settings = wandb.Settings(
            mode=self.mode,
            allow_val_change=True,
            console="off",
            disable_git=True,
            init_timeout=60,
            save_code=False,
            silent=True,
            symlink=False,
            x_disable_machine_info=True,
            x_disable_stats=True,
        )
        self._run: Run = wandb.init(
            project=self.project,
            entity=self.entity,
            id=identity["id"],
            name=about.name,
            dir=str(about.folder),
            config={**about.config, "run_folder": str(about.folder)},
            tags=[tag[:64] for tag in about.tags],
            notes=about.note or None,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)
        return identity

    def reached(self) -> Mapping[str, int] | None:
        """Return the last step of each tag in the offline files; a server is not asked.

        W&B's own process ends with that of the training, and loses what it has not written yet.
        """
        if self.mode == "online":
            return None
        return reached_in(self._parts, STEP)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one row."""
        self._run.log({**values, STEP: step})

    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Add the picture in a row of its own."""
        import wandb

        self._run.log({name: wandb.Image(Image.open(io.BytesIO(png))), STEP: step})

    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Set the summary of the run."""
        self._run.summary.update(dict(values))

    def flush(self) -> None:
        """Do nothing: a process of its own writes what was logged, and only when it ends does it write all of it."""

    def close(self, state: RunState) -> None:
        """End this part of the run; where W&B's own process is gone, forget it, so that a later run gets a new one."""
        import wandb

        try:
            self._run.finish(exit_code=int(state not in (RunState.COMPLETED, RunState.PRUNED)))
        except Exception:
            with suppress(Exception):  # else W&B asks it once more when this process ends, and prints that
                wandb.teardown()
            raise


def _identity(folder: Path, salt: str) -> Identity:
    """Return the id of a run, which follows from its folder: no other folder can name it, whatever its salt."""
    return {"id": hashlib.sha256(f"{folder}\n{salt}".encode()).hexdigest()[:32], "salt": salt}
