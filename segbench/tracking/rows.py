"""The rows that a run has added to its metrics.csv since it was looked at last."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from segbench.core.reading import read_bytes
from segbench.runs.metrics_log import KEYS, MAX_BYTES

EPOCH = "epoch"
"""The split of the rows that stand for the end of an epoch."""
LOSS = "train/loss"
EPOCH_LOSS = "train/loss_epoch"
"""The mean loss of an epoch: in the table it has the name of a step's loss, in another row."""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    split: str
    """`train` or `epoch`."""
    epoch: int
    """From 0."""
    step: int
    """The optimizer step, from 1."""
    values: dict[str, float]
    """By tag: each has one value a step."""


class NewRows:
    """Reads a table that another part of the process, or another process, is writing.

    Args:
        path: The `metrics.csv` of a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header = b""
        self._read = 0

    def take(self) -> list[Row]:
        """Return the whole rows that have come, in the order of their steps; those of equal keys once, the last.

        All rows come again where the table got further columns.
        """
        if not self.path.is_file():
            return []
        content = read_bytes(self.path, MAX_BYTES, follow_links=False)
        end = content.rfind(b"\n") + 1  # a line that has no end yet may be half a number
        if not content.startswith(self._header) or not self._read:
            self._header = content[: content.find(b"\n") + 1]
            self._read = len(self._header)
        names = next(csv.reader([self._header.decode(errors="replace")]), [])
        lines = content[min(self._read, end) : end].decode(errors="replace").splitlines()
        self._read = max(self._read, end)
        found: dict[tuple[str, int, int], Row] = {}
        for cells in csv.reader(lines):
            row = _row(dict(zip(names, cells, strict=False)))
            if row is not None:
                found[row.split, row.epoch, row.step] = row
        return sorted(found.values(), key=lambda row: (row.step, row.split == EPOCH))


def _row(record: dict[str, str]) -> Row | None:
    try:
        values = {name: float(cell) for name, cell in record.items() if name not in KEYS and cell}
        row = Row(record["split"], int(record["epoch"]), int(record["step"]), values)
    except (KeyError, ValueError):
        return None  # half a row, left by a kill
    if row.split == EPOCH:
        if LOSS in values:
            values[EPOCH_LOSS] = values.pop(LOSS)
        values[EPOCH] = row.epoch
    return row
