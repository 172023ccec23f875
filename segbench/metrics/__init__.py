"""Metrics: integer counts accumulated on the device over a whole split, computed once."""

from typing import TYPE_CHECKING

from segbench.core.lazy import lazy

if TYPE_CHECKING:
    from segbench.metrics.boundary import BoundaryScores as BoundaryScores
    from segbench.metrics.confusion import SegmentationScores as SegmentationScores
    from segbench.metrics.confusion import predicted_ids as predicted_ids
    from segbench.metrics.depth import DepthScores as DepthScores
    from segbench.metrics.split_scores import SplitScores as SplitScores

__all__ = [
    "BoundaryScores",
    "DepthScores",
    "SegmentationScores",
    "SplitScores",
    "predicted_ids",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BoundaryScores": "boundary",
        "DepthScores": "depth",
        "SegmentationScores": "confusion",
        "SplitScores": "split_scores",
        "predicted_ids": "confusion",
    },
)
