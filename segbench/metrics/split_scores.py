"""All scores of one split for a task: of masks, of depth, or of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.core.tasks import Head, Task
from segbench.metrics.baselines import mask_baselines
from segbench.metrics.boundary import BoundaryScores
from segbench.metrics.confusion import SegmentationScores
from segbench.metrics.depth import DepthScores
from segbench.metrics.own import OwnMetrics
from segbench.metrics.sizes import ScoredSizes
from segbench.metrics.torchmetrics_private import join_processes, leave_processes
from segbench.runs.results import Baseline

Part = SegmentationScores | BoundaryScores | DepthScores


class SplitScores(nn.Module):
    """The metrics of a task's heads, updated together.

    Args:
        task: `mask`, `depth` or `mask_depth`.
        classes: Names of the classes.
        suffix: What the names of all scores end in, such as `_at_input`.
        outlines: Whether boundary scores are computed as well, until `reset` says otherwise.
        own: Metrics of the user's own; None for none.

    Raises:
        ConfigError: for a metric of the user's own that is called like one that every run has.
    """

    def __init__(
        self,
        task: Task,
        classes: Sequence[str],
        *,
        suffix: str = "",
        outlines: bool = True,
        own: OwnMetrics | None = None,
    ) -> None:
        super().__init__()
        heads = Task(task).heads
        self.suffix = suffix
        self.masks = SegmentationScores(classes, per_image=True) if Head.MASK in heads else None
        self.boundary = BoundaryScores(classes) if Head.MASK in heads else None
        self.depths = DepthScores() if Head.DEPTH in heads else None
        self.sizes = ScoredSizes()
        self.outlines = outlines
        self.own = own or OwnMetrics()
        self._check_names()

    def _check_names(self) -> None:
        parts = [part for part in (self.masks, self.boundary, self.depths) if part is not None]
        taken = {"loss", *(name.split("/")[0] for part in parts for name in part.names)}
        for name in self.own.metrics:
            if name in taken:
                raise ConfigError(f"metrics.{name}: every run has scores of that name; give it another")

    @property
    def _parts(self) -> list[Part]:
        boundary = self.boundary if self.outlines else None
        return [part for part in (self.masks, boundary, self.depths) if part is not None]

    @property
    def names(self) -> list[str]:
        """The keys of `compute`."""
        names = [name for part in self._parts for name in part.names]
        return [f"{name}{self.suffix}" for name in (*names, *self.own.names)]

    def update(self, prediction: dict[str, Tensor], truth: dict[str, Tensor]) -> None:
        """Add pictures of one size.

        Args:
            prediction: `mask`, ids `[B,H,W]`, and `depth`, `[B,1,H,W]`, as far as the task has them.
            truth: The same, with 255 and NaN where nothing is known, and the pictures' numbers `index` `[B]`.
        """
        if self.masks is not None:
            self.masks.update(prediction["mask"], truth["mask"], truth["index"])
            self.sizes.update(truth["mask"])
            self.own.update(prediction["mask"], truth["mask"])
        if self.boundary is not None and self.outlines:
            self.boundary.update(prediction["mask"], truth["mask"])
        if self.depths is not None:
            self.depths.update(prediction["depth"], truth["depth"], truth["index"])
        if self.masks is None:
            self.sizes.update(truth["depth"])

    def gather(self) -> None:
        """Join the counts of all processes once a split has ended: before scores and tables, until the next reset."""
        for part in (*self._parts, self.sizes):
            join_processes(part)

    def compute(self) -> dict[str, float]:
        """Return every score by name; NaN where there was nothing to score."""
        found = {name: float(value) for part in self._parts for name, value in part.compute().items()}
        return {f"{name}{self.suffix}": value for name, value in {**found, **self.own.compute()}.items()}

    def reset(self, *, outlines: bool | None = None) -> None:
        """Forget all counts, and say whether boundary scores are computed from now on; None: as before."""
        for part in (*self._parts, self.sizes):
            leave_processes(part)
            part.reset()
        self.own.reset()
        if outlines is not None:
            self.outlines = outlines

    def scored_at(self) -> str:
        """Return at which size the pictures were scored, such as `own size, 360 x 480`, in words."""
        sizes = self.sizes.compute()
        if self.suffix:
            return f"input, {sizes}"
        return f"own {'sizes' if ' to ' in sizes else 'size'}, {sizes}"

    def out_of_range(self) -> int:
        """Return how many pixels of the masks had an id that is neither a class nor 255."""
        if self.masks is None:
            return 0
        return int(self.masks.out_of_range)

    def baselines(self) -> dict[str, Baseline]:
        """Return the scores of the trivial predictions on the same pixels, by name: `segbench.metrics.baselines`."""
        found: dict[str, Baseline] = {}
        if self.masks is not None:
            found |= mask_baselines(self.masks.counts, self.masks.classes)
        if self.depths is not None:
            found |= self.depths.baselines()
        return found

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
