"""The base of sets of files whose pictures are divided by us: by share, by group, or into folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segbench.core.choices import Split
from segbench.data.files.dataset import FileData
from segbench.data.files.groups import Division
from segbench.data.files.items import Splits
from segbench.data.problems import Problems


class DividedFiles(FileData):
    """Pictures and masks from files, divided as the data says or as these settings say.

    Args:
        val_share: Share of the pictures for val, where the data has none.
        test_share: Likewise for test, where nothing is said of splits.
        group: Which pictures belong together: a pattern with `{group}`, or FILE.csv:COLUMN (see `Division`).
        folds: Number of folds; None for none.
        fold: Which of them is the test.
        **common: As for all file sets: `FileData`.
    """

    def __init__(
        self,
        *,
        val_share: float = 0.15,
        test_share: float = 0.15,
        group: str | None = None,
        folds: int | None = None,
        fold: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.division = Division(self.seed, val_share, test_share, group, folds, fold)

    def divided(self, given: Splits, root: Path, *, problems: Problems) -> Splits:
        """Return train, val and test, and note what was done beyond the settings; see `Division.divide`."""
        splits, notes = self.division.divide(given, root, problems=problems)
        self.notes += notes
        return splits

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the group of a picture, where there are groups."""
        return dict(self.items[split][index].units)
