"""Plain files for any program: curves as one long table, settings and results as JSON, pictures as they are."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Mapping
from pathlib import Path

from segbench.core.files import write_atomic, write_json
from segbench.core.reading import read_bytes, read_text
from segbench.core.states import RunState
from segbench.runs.metrics_log import MAX_BYTES
from segbench.tracking.tracker import About, Identity, Tracker

FOLDER = "csv"
COLUMNS = "step,tag,value\n"


class CsvFiles(Tracker):
    """Writes `csv/` in the run folder: `scalars.csv` (step, tag, value), `config.json`, `summary.json`, `images/`."""

    @property
    def place(self) -> str:
        """Always the folder of the run."""
        return FOLDER

    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin the table, or go on with it."""
        self._folder = about.folder / FOLDER
        self._folder.mkdir(exist_ok=True)
        self._table = self._folder / "scalars.csv"
        write_json(self._folder / "config.json", {**about.config, "folder": str(about.folder)})
        if identity is not None and self._table.is_file():
            self._cut_torn_line()
            return identity
        write_atomic(self._table, COLUMNS)
        return {"id": uuid.uuid4().hex}

    def _cut_torn_line(self) -> None:
        content = read_bytes(self._table, MAX_BYTES, follow_links=False)
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_atomic(self._table, whole or COLUMNS)

    def reached(self) -> Mapping[str, int]:
        """Return the last step of each tag in the table, and of each kind of picture."""
        found: dict[str, int] = {}
        text = read_text(self._table, MAX_BYTES, follow_links=False)
        for record in csv.DictReader(io.StringIO(text, newline="")):
            found[record["tag"]] = max(int(record["step"]), found.get(record["tag"], -1))
        images = self._folder / "images"
        for file in images.rglob("*.png"):
            if file.stem.isdecimal():
                name = file.parent.relative_to(images).as_posix()
                found[name] = max(int(file.stem), found.get(name, -1))
        return found

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line for each."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([step, tag, f"{value:.9g}"] for tag, value in values.items())
        with self._table.open("a", newline="") as file:
            file.write(text.getvalue())

    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Write it as `images/<name>/<step>.png`."""
        file: Path = self._folder / "images" / name / f"{step:08d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, png)

    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Replace `summary.json`."""
        write_json(self._folder / "summary.json", dict(values))

    def flush(self) -> None:
        """Do nothing: each line is in its file."""

    def close(self, state: RunState) -> None:
        """Do nothing: no file is kept open."""
