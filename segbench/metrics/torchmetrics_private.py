"""What is used of torchmetrics beyond its documented interface; the upper bound in pyproject.toml is for this file.

A metric that is computed takes the counts of the other processes in and throws them out again. The tables of a split
need them afterwards, and nothing public leaves them in.
"""

from __future__ import annotations

from torchmetrics import Metric


def join_processes(metric: Metric) -> None:
    """Add the counts of all processes to a metric's own, until `leave_processes`."""
    metric._should_unsync = False
    metric.sync()


def leave_processes(metric: Metric) -> None:
    """Go back to a metric's own counts where those of the other processes are in it."""
    if metric._is_synced:
        metric.unsync()
