"""What the best epoch is: the highest mean IoU, or for depth alone the lowest RMSE."""

import math

from segbench.core.tasks import Task
from segbench.metrics.monitor import Monitor


def test_a_mask_is_judged_by_iou():
    monitor = Monitor.of(Task("mask_depth"))
    assert monitor == Monitor.of(Task("mask"))
    assert monitor.key == "val/mean_iou"
    assert monitor.maximized({"val/mean_iou": 0.5}) > monitor.maximized({"val/mean_iou": 0.4})


def test_depth_is_judged_by_rmse():
    monitor = Monitor.of(Task("depth"))
    assert monitor.key == "val/depth/rmse"
    assert monitor.maximized({"val/depth/rmse": 0.4}) > monitor.maximized({"val/depth/rmse": 0.5})


def test_nothing_and_nan_are_worse_than_anything():
    monitor = Monitor.of(Task("depth"))
    for scores in ({}, {"val/depth/rmse": math.nan}):
        assert monitor.maximized(scores) == -math.inf
