"""Intervals, scores of summed counts and Pareto front against hand values and sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segbench.compare.images import scorer
from segbench.compare.intervals import score_interval, summarize, t_quantile
from segbench.compare.pareto import pareto_front
from segbench.compare.student import t_quantiles


def test_t_quantiles_are_those_of_the_printed_table():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042, 120: 1.980}
    for freedom, value in table.items():
        assert t_quantile(0.975, freedom) == pytest.approx(value, abs=6e-4)


def t_probability(value, freedom):
    """Return the distribution function, by summing the density over angles: t = sqrt(freedom) tan(angle)."""
    angles = np.linspace(0, math.atan(value / math.sqrt(freedom)), 200_001)
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    density = np.cos(angles) ** (freedom - 1)
    return 0.5 + constant * float(((density[1:] + density[:-1]) / 2 * np.diff(angles)).sum())


def test_t_quantiles_of_any_tail_are_those_of_scipy():
    from scipy.special import stdtrit

    tails, freedoms = np.meshgrid([0.5, 0.49999, 0.2, 0.025, 1e-3, 1e-6, 1e-9], [1, 1.5, 2, 7.3, 30, 1e3, 1e6])
    found = t_quantiles(tails.ravel(), freedoms.ravel())
    np.testing.assert_allclose(found, -stdtrit(freedoms, tails).ravel(), rtol=1e-8, atol=1e-12)


def test_t_quantiles_invert_the_integral_of_the_density_for_broken_degrees_of_freedom():
    for freedom in (1, 1.3, 2.5, 3.7, 10.2, 231, 5000):
        for probability in (0.6, 0.9, 0.975, 0.995, 1 - 1e-6):
            assert t_probability(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-9)


def test_summary_of_three_seeds_by_hand():
    summary = summarize([0.80, 0.82, 0.84])
    assert (summary.n, summary.mean, summary.sd) == (3, pytest.approx(0.82), pytest.approx(0.02))
    assert (summary.low, summary.high) == (None, None)


def test_an_interval_of_a_score_stays_in_its_range():
    low, high = score_interval(0.98, 0.02 * t_quantile(0.975, 3), share=True)
    assert 0.6 < low < 0.98 < high < 1
    odds = [value / (1 - value) for value in (low, 0.98, high)]
    assert odds[1] / odds[0] == pytest.approx(odds[2] / odds[1])  # symmetrical in the logit
    low, high = score_interval(0.5, 0.001 * t_quantile(0.975, 1e6), share=True)
    assert (high - low) / 2 == pytest.approx(1.959964 * 0.001, rel=1e-4)  # as plain where it is narrow
    low, high = score_interval(0.2, 0.15 * t_quantile(0.975, 4), share=False)
    assert 0 < low < 0.2 < high and low * high == pytest.approx(0.04)
    assert score_interval(1.0, 0.02, share=True)[1] == 1.0


def test_one_number_has_no_interval_and_none_no_mean():
    one, none = summarize([0.7]), summarize([])
    assert (one.n, one.mean, one.sd, one.low, one.high) == (1, 0.7, None, None, None)
    assert (none.n, none.mean) == (0, None)


def test_scores_of_summed_counts_leave_out_classes_that_do_not_occur():
    classes = ("a", "b", "c")
    sums = np.array([[6, 0, 3], [2, 0, 0], [2, 0, 1]]).reshape(-1)  # tp, fp, fn of a, b, c
    expected = {
        "mean_iou": (6 / 10 + 3 / 4) / 2,
        "iou/a": 0.6,
        "dice/c": 6 / 7,
        "mean_dice": (12 / 16 + 6 / 7) / 2,
        "accuracy/a": 6 / 8,
        "mean_accuracy": 0.75,
        "accuracy": 9 / 12,
    }
    for name, value in expected.items():
        assert float(scorer(f"test/{name}", classes)(sums)) == pytest.approx(value), name
    assert np.isnan(scorer("test/iou/b", classes)(sums))
    assert scorer("test/iou/nothing", classes) is None
    assert scorer("test/boundary_f1/a", classes) is None
    assert float(scorer("val/depth/rmse", ())(np.array([36.0, 4.0]))) == 3.0


def test_scores_are_those_of_training():
    import torch

    from segbench.metrics.confusion import SegmentationScores

    classes = ["a", "b", "c", "d"]
    metric = SegmentationScores(classes, per_image=True)
    draw = np.random.default_rng(3)
    truth, guess = (torch.from_numpy(draw.integers(0, 3, (5, 9, 9))) for _ in range(2))  # d never occurs
    truth[:, :2] = 255
    metric.update(guess, truth, torch.arange(5))
    table = metric.per_image_table()
    sums = np.concatenate([table[kind] for kind in ("tp", "fp", "fn")], axis=1).sum(axis=0)
    for name, value in metric.compute().items():
        score = scorer(f"test/{name}", tuple(classes))
        if score is not None:
            assert float(score(sums)) == pytest.approx(float(value), abs=1e-12, nan_ok=True), name


def test_pareto_front_by_hand():
    quality = [0.9, 0.8, 0.8, 0.7, 0.95, None, 0.9]
    cost = [10.0, 5.0, 6.0, 4.0, 20.0, 1.0, None]
    assert pareto_front(quality, cost) == [True, True, False, True, True, False, False]
    assert pareto_front([0.5, 0.5], [1.0, 1.0]) == [True, True]
    assert pareto_front([0.5, 0.6], [1.0, 1.0]) == [False, True]
