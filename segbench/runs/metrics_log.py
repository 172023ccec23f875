"""The metrics table of a run. A resume only adds rows, and columns at the end; the last of equal rows counts."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from segbench.core.errors import CheckpointError
from segbench.core.files import write_atomic
from segbench.core.reading import UnreadableError, read_text

MAX_BYTES = 500_000_000
"""The largest table that is read; a row has some hundred bytes."""

KEYS = ("split", "epoch", "step")


class MetricsLog:
    """Appends rows to a CSV file whose columns are fixed when it is made.

    A row has a split (`train` for logged steps, `epoch` for the end of an epoch), the epoch (from 0), the optimizer
    step (from 1) and one number for each column, empty where it was not measured.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.fixed = (*KEYS, *columns)
        self.columns = [*self.fixed]
        if path.is_file() and path.stat().st_size:
            known = next(_rows(path), [])
            if known[: len(KEYS)] != [*KEYS]:
                raise CheckpointError(
                    f"{path} is not the table of a run: its columns must begin with {', '.join(KEYS)}"
                )
            self._end_torn_line()
            further = [column for column in self.columns if column not in known]
            self.columns = [*known, *further]
            if further:
                self._add_columns()
        else:
            self._append(self.columns)

    def extend(self, names: Iterable[str]) -> None:
        """Add columns that it lacks at the end."""
        further = [name for name in names if name not in self.columns]
        if further:
            self.columns += further
            self._add_columns()

    def add(self, split: str, epoch: int, *, step: int, values: Mapping[str, float]) -> None:
        """Append one row; values without a column are left out. A table that has vanished is an OSError."""
        if not self.path.is_file():
            raise FileNotFoundError(errno.ENOENT, "it has vanished", str(self.path))
        row: dict[str, str | int | float] = {"split": split, "epoch": epoch, "step": step, **values}
        self._append([_text(row.get(column, "")) for column in self.columns])

    def _append(self, cells: Sequence[str | int]) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(cells)

    def _add_columns(self) -> None:
        """Add columns at the end, as a resume with other settings may measure what was not measured before."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for cells in itertools.islice(_rows(self.path), 1, None):
            writer.writerow([*cells, *[""] * (len(self.columns) - len(cells))])
        write_atomic(self.path, text.getvalue())

    def _end_torn_line(self) -> None:
        # A kill in the middle of a write leaves half a row; a line break keeps the next row whole.
        with self.path.open("rb+") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _text(value: str | int | float) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return ""  # nothing was measured, such as the IoU of an absent class
        return f"{value:.9g}"
    return str(value)


def read_metrics(path: Path, up_to_step: int | None = None) -> list[dict[str, str | int | float]]:
    """Return the rows in the order of their steps, each (split, epoch, step) once: the last one written.

    Args:
        path: The `metrics.csv` of a run.
        up_to_step: Leave out rows beyond this step, as a resume from there must.

    Raises:
        CheckpointError: if the file is missing or no such table.
    """
    table = _rows(path)
    names = next(table, [])
    rows: dict[tuple[str, int, int], dict[str, str | int | float]] = {}
    for cells in table:
        record = dict(zip(names, cells, strict=False))
        try:
            key = (record["split"], int(record["epoch"]), int(record["step"]))
            row: dict[str, str | int | float] = {"split": key[0], "epoch": key[1], "step": key[2]}
            row.update({name: float(cell) for name, cell in record.items() if name not in KEYS and cell})
        except (ValueError, KeyError):
            continue  # half a row, left by a kill
        rows[key] = row
    kept = [row for key, row in rows.items() if up_to_step is None or key[2] <= up_to_step]
    return sorted(kept, key=lambda row: (row["step"], row["split"] == "epoch"))


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(read_text(path, MAX_BYTES), newline=""))
    except UnreadableError as error:
        raise CheckpointError(str(error)) from None
    except csv.Error as error:
        raise CheckpointError(f"{path} cannot be read as a table: {error}") from None
