"""All scores of one split for a task: those of masks and those of depth, as far as it has the heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from segbench.core.tasks import Head, Task
from segbench.metrics.baselines import Baseline, mask_baselines
from segbench.metrics.boundary import BoundaryScores
from segbench.metrics.confusion import SegmentationScores, predicted_ids
from segbench.metrics.depth import DepthScores
from segbench.metrics.torchmetrics_private import join_processes, leave_processes


class SplitScores(nn.Module):
    """The metrics of a task's heads, updated together.

    Args:
        task: `mask`, `depth` or `mask_depth`.
        classes: Names of the classes.
    """

    def __init__(self, task: Task, classes: Sequence[str]) -> None:
        super().__init__()
        heads = Task(task).heads
        self.masks = SegmentationScores(classes, per_image=True) if Head.MASK in heads else None
        self.outlines = BoundaryScores(classes) if Head.MASK in heads else None
        self.depths = DepthScores() if Head.DEPTH in heads else None

    @property
    def _parts(self) -> list[SegmentationScores | BoundaryScores | DepthScores]:
        return [part for part in (self.masks, self.outlines, self.depths) if part is not None]

    @property
    def names(self) -> list[str]:
        """The keys of `compute`."""
        return [name for part in self._parts for name in part.names]

    def update(self, prediction: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Add a batch and its predictions."""
        if self.masks is not None and self.outlines is not None:
            predicted = predicted_ids(prediction["mask"])
            self.masks.update(predicted, batch["mask"], batch["index"])
            self.outlines.update(predicted, batch["mask"])
        if self.depths is not None:
            self.depths.update(prediction["depth"], batch["depth"], batch["index"])

    def gather(self) -> None:
        """Join the counts of all processes once a split has ended: before scores and tables, until the next reset."""
        for part in self._parts:
            join_processes(part)

    def compute(self) -> dict[str, float]:
        """Return every score by name; NaN where there was nothing to score."""
        return {name: float(value) for part in self._parts for name, value in part.compute().items()}

    def reset(self) -> None:
        """Forget all counts."""
        for part in self._parts:
            leave_processes(part)
            part.reset()

    def out_of_range(self) -> int:
        """Return how many pixels of the masks had an id that is neither a class nor 255."""
        return 0 if self.masks is None else int(self.masks.out_of_range)

    def baselines(self) -> dict[str, Baseline]:
        """Return the scores of the trivial predictions on the same pixels, by name: `segbench.metrics.baselines`."""
        masks = {} if self.masks is None else mask_baselines(self.masks.counts, self.masks.classes)
        return masks | ({} if self.depths is None else self.depths.baselines())

    def images_with_class(self) -> dict[str, int]:
        """Return how many images show each class in truth: what the score of a class rests on."""
        if self.masks is None:
            return {}
        table = self.masks.per_image_table()
        shown = (table["tp"] + table["fn"] > 0).sum(axis=0).tolist()
        return dict(zip(self.masks.classes, shown, strict=True))

    def per_image_table(self) -> dict[str, np.ndarray]:
        """Return the columns of both metrics' tables, by image number."""
        tables = [part.per_image_table() for part in (self.masks, self.depths) if part is not None]
        return {name: column for table in tables for name, column in table.items()}
