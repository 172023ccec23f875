"""Trackio: a project in the local files that its dashboard shows. Nothing is sent anywhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from segbench.core.states import RunState
from segbench.tracking.tracker import About, Identity, Tracker, need


class Trackio(Tracker):
    """Writes to Trackio's own folder: `trackio show --project segbench` opens it.

    Its store is written to directly: `trackio.init` prints, asks Hugging Face for the user's name, and hands rows to a
    thread that nobody can wait for. The upper bound of the package is for this.

    Args:
        project: The project that runs are sorted into.
    """

    def __init__(self, project: str = "segbench") -> None:
        need("trackio", "trackio")
        self.project = project
        self._waiting: list[tuple[int, dict[str, object], str]] = []
        """Step, values and key of each row that is not in the file yet."""

    @property
    def place(self) -> str:
        """The project."""
        return f"trackio {self.project}"

    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin a run, or go on with the one of its id."""
        import trackio

        self._store = trackio.SQLiteStorage
        self._name = about.name
        self._config = {
            **about.config,
            "run_folder": str(about.folder),
            "run_tags": list(about.tags),
            "run_note": about.note,
        }
        if identity is None or not self._is_of(about.folder, identity.get("id", "")):
            identity = {"id": uuid.uuid4().hex}
        self._id = identity["id"]
        return identity

    def _is_of(self, folder: Path, run_id: str) -> bool:
        """Return whether Trackio has a run of this id, and that of this folder."""
        known = self._store.get_run_config(self.project, self._name, run_id=run_id) or {}
        return known.get("run_folder") == str(folder)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one row, which waits for `flush`."""
        self._waiting.append((step, dict(values), "-".join(sorted(values))))

    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Keep the file among Trackio's own, and add a row that names it."""
        from trackio.media.utils import get_project_media_path
        from trackio.utils import MEDIA_DIR

        file = get_project_media_path(project=self.project, run=self._name, step=step) / f"{uuid.uuid4()}.png"
        file.write_bytes(png)
        picture = {"_type": "trackio.image", "file_path": str(file.relative_to(MEDIA_DIR)), "caption": None}
        self._waiting.append((step, {name: picture}, name))

    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Add them as a row, of which Trackio's table shows the last value."""
        self._waiting.append((step, dict(values), "summary"))

    def flush(self) -> None:
        """Write the rows that wait; one with the same key and step as before is there already and is left out."""
        if not self._waiting:
            return
        self._store.bulk_log(
            self.project,
            self._name,
            [values for _, values, _ in self._waiting],
            steps=[step for step, _, _ in self._waiting],
            config=self._config,
            log_ids=[uuid.uuid5(uuid.NAMESPACE_OID, f"{self._id} {step} {key}").hex for step, _, key in self._waiting],
            run_id=self._id,
        )
        self._waiting.clear()

    def close(self, state: RunState) -> None:
        """Do nothing: Trackio knows no end of a run."""
