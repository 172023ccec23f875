"""A mean and its interval as a small drawing beside the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.intervals import Summary

WIDTH = 90.0
"""Of the drawing, in its own units."""
EDGE = 4.0
"""Left free on each side."""


@dataclass(frozen=True)
class Whisker:
    """An interval to draw, in 0 to WIDTH; equal ends where there is none."""

    mean: float
    """Where the mean lies."""

    low: float
    """Where the lower end lies."""

    high: float
    """Where the upper end lies."""


@dataclass(frozen=True)
class Scale:
    """What the ends of the drawing mean; intervals beyond are cut there."""

    low: float
    """What the left end of the drawing means."""

    high: float
    """What the right end means."""

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> Scale:
        """Return the scale of all intervals, at most three times as wide as the range of the means: two seeds may give
        an interval that would leave no room for the rest.
        """  # noqa: D205
        means = [summary.mean for summary in summaries if summary.mean is not None]
        if not means:
            return cls(0.0, 1.0)
        lows = [summary.low for summary in summaries if summary.low is not None]
        highs = [summary.high for summary in summaries if summary.high is not None]
        room = max(means) - min(means) or abs(means[0]) / 10 or 1.0
        low = max(min(means + lows), min(means) - room)
        high = min(max(means + highs), max(means) + room)
        if low < high:
            return cls(low, high)
        return cls(low - room, high + room)

    def whisker(self, summary: Summary) -> Whisker | None:
        """Return the drawing of a summary, None without a mean."""
        if summary.mean is None:
            return None
        ends = (summary.mean if end is None else end for end in (summary.low, summary.high))
        return Whisker(self._place(summary.mean), *(self._place(end) for end in ends))

    def _place(self, value: float) -> float:
        share = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)
