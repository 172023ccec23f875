"""What the values of pictures are, and what of them becomes 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.core.errors import DataError
from segbench.core.plain import Json, Plain
from segbench.data.channels import Levels

KINDS = ("uint8", "uint16", "int16", "float32")


@dataclass(frozen=True, eq=False)
class Values:
    """What the values of the files are, and what of them becomes 0 and 1."""

    kind: str
    """uint8, uint16, int16 or float32."""

    levels: Levels | None
    """Low and high of each channel; None for uint8 as it is."""

    is_given: bool = False
    """Whether they were given and not measured: files of any type then mean the same."""

    def __str__(self) -> str:
        """Return both in words: one pair, or one for each channel."""
        if self.levels is None:
            return f"{self.kind} as they are"
        pairs = [f"{low:.6g} to {high:.6g}" for low, high in zip(*self.levels, strict=True)]
        return f"{self.kind}, of which {pairs[0] if len(set(pairs)) == 1 else ', '.join(pairs)} become 0 to 1"

    def check(self, kind: str) -> None:
        """Raise a DataError for files of another type than the run was trained on."""
        if kind != self.kind and not self.is_given:
            raise DataError(
                f"the pictures are {kind}, but the run was trained on {self}; save them as {self.kind}, or give"
                " data.range=[low,high] where you know what their values mean"
            )

    def record(self) -> Plain:
        """Return them as plain data."""
        low, high = ([], []) if self.levels is None else (levels.tolist() for levels in self.levels)
        return {"kind": self.kind, "low": low, "high": high, "given": self.is_given}

    @classmethod
    def of_record(cls, record: Json) -> Values:
        """Return what `record` gave; raises a DataError for anything else."""
        try:
            low, high = (np.array(record[name], np.float64).reshape(-1) for name in ("low", "high"))
            if low.shape == high.shape and (low < high).all() and record["kind"] in KINDS:
                return cls(record["kind"], (low, high) if len(low) else None, bool(record.get("given")))
        except (KeyError, TypeError, ValueError):
            pass
        raise DataError("what the run's checkpoint says of the values of its pictures cannot be understood")
