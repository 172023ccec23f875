"""A digest of the weights at every checkpoint: two runs can be told apart to the last bit without their checkpoints."""

from __future__ import annotations

import csv
from pathlib import Path

HEADER = "step,sha256\n"


class DigestLog:
    """Appends one row a checkpoint to a CSV file; after a resume the last row of a step counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, step: int, digest: str) -> None:
        """Append the digest of the weights after optimizer step `step`."""
        row = f"{step},{digest}\n"
        with self.path.open("a") as file:
            file.write(row if file.tell() else HEADER + row)


def read_digests(path: Path) -> dict[int, str]:
    """Return the digest by step; half a row, left by a kill, is left out."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {int(row[0]): row[1] for row in rows if len(row) == 2 and row[0].isdigit() and len(row[1]) == 64}
