"""`segbench.compare` as Python users call it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segbench.compare.comparison import Comparison, compare_runs
from segbench.runs.folder import RunFolder

Run = str | Path | RunFolder
"""A run: its folder's path, or what `segbench.train` returned."""


def compare(
    *folders: Run,
    by: Sequence[str] = (),
    metric: str | None = None,
    baseline: str | None = None,
    filters: Sequence[str] = (),
    over: str | None = None,
) -> Comparison:
    """Compare the runs below folders; see `segbench.compare.comparison.compare_runs`.

    Args:
        *folders: Runs, or folders with runs below; `outputs` where none is given.
        by: Settings to group by; by default everything but the seed.
        metric: Such as `val/mean_iou`.
        baseline: Path or name of a run that every group is judged against.
        filters: Conditions such as `data=fgbg` or `loss!=dice`.
        over: A setting such as `data`, over whose values settings are ranked as well.

    Raises:
        ConfigError: for anything asked for that is not there.
    """
    paths = [folder.path if isinstance(folder, RunFolder) else Path(folder) for folder in folders]
    return compare_runs(paths or ["outputs"], by, metric=metric, baseline=baseline, filters=filters, over=over)
