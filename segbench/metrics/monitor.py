"""Which score decides what the best epoch is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segbench.core.tasks import Head, Task


@dataclass(frozen=True)
class Monitor:
    """A score that says which epoch is best."""

    name: str
    """Without the split, such as `mean_iou`."""

    label: str
    """A few letters to show it by."""

    higher: bool
    """Whether more of it is better."""

    @classmethod
    def of(cls, task: Task, suffix: str = "") -> Monitor:
        """Return the mean IoU for a task with a mask, else the RMSE of the depth; `suffix` ends its name."""
        if Head.MASK in task.heads:
            return cls(f"mean_iou{suffix}", "IoU", True)
        return cls(f"depth/rmse{suffix}", "RMSE", False)

    @property
    def key(self) -> str:
        """The name of the validation's score in metrics.csv and results.json."""
        return f"val/{self.name}"

    def maximized(self, scores: Mapping[str, float]) -> float:
        """Return the validation's score turned so that more is better; minus infinity where there is none."""
        value = scores.get(self.key, math.nan)
        if math.isnan(value):
            return -math.inf
        if self.higher:
            return value
        return -value
