"""The base of data sets whose masks are pictures of class ids, palettes or colours, or outlines beside the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segbench.data.files.divided import DividedFiles
from segbench.data.files.histograms import check_values, rare_classes
from segbench.data.files.masks import MaskReader
from segbench.data.files.outlines import OutlineReader
from segbench.data.problems import Problems


class MaskedFiles(DividedFiles):
    """Pictures with a mask each.

    Args:
        masks: Kind of the masks: `auto`, `index`, `palette`, `rgb` or `binary` (see `MaskReader`).
        labels: What ids, colours or names mean (see `label_map`); None for ids that are the classes' places.
        ignore: Ids (or, for rgb, names) that are unlabelled and become 255.
        class_dict: CSV file of colours, name,r,g,b, absolute or within root; for rgb.
        threshold: Smallest foreground value for binary masks; None for 1.
        **common: As for all that are divided: `DividedFiles`.
    """

    reader: MaskReader | OutlineReader

    def __init__(
        self,
        *,
        masks: str = "auto",
        labels: Mapping[object, object] | None = None,
        ignore: Sequence[int | str] = (),
        class_dict: str | None = None,
        threshold: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        colours = None
        if class_dict:
            colours = (self.root or Path()) / class_dict
        self.reader = self.make_reader(masks, labels=labels, ignore=ignore, class_dict=colours, threshold=threshold)

    def make_reader(
        self, masks: str, *, labels: Mapping[object, object] | None, **reading: Any
    ) -> MaskReader | OutlineReader:
        """Return the reader of masks of a kind; a ConfigError for an unknown kind."""
        return MaskReader(masks, self.classes, labels=labels, **reading)

    def check_ids(self, problems: Problems) -> None:
        """Note masks that look as if their values meant something else: 0 and 255, a mix of both, stray ids."""
        check_values(self.index.table, self.reader, problems=problems)
        self.notes += rare_classes(self.index.table, self.index.names.texts(), classes=self.classes)

    def settings(self) -> dict[str, object]:
        """Return how masks are read."""
        return self.reader.settings()
