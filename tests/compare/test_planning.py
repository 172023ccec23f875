"""Plans against their own formula inverted, simulated power, and what the command says."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console

from segbench.commands.plan import plan_runs
from segbench.compare.planning import Plan
from segbench.core.errors import ConfigError
from tests.support.fake_runs import some_counts, write_run

PLAN = Plan(settings=2, seeds=3, lasting=1e-5, by_image=4e-5, by_seed=1.2e-4, unit_freedom=399, quantile=1.959964)


def test_without_units_it_is_the_textbook_sample_size():
    # two groups, sd 1, difference 1: 17 each for 80 % (Student's t, two-sided 5 %)
    plan = Plan(settings=2, seeds=3, lasting=0, by_image=0, by_seed=2.0, unit_freedom=1e6, quantile=1.959964)
    assert plan.seeds_for(1.0) == 17
    assert plan.detectable(17) <= 1.0 < plan.detectable(16)


def test_more_seeds_and_units_see_smaller_differences():
    values = [PLAN.detectable(seeds) for seeds in (2, 3, 5, 10, math.inf)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx((1.966 + 0.843) * 1e-5**0.5, rel=0.01)
    assert PLAN.seeds_for(0.005) is None and PLAN.seeds_for(0.02) is not None
    times = PLAN.units_for(0.02, 3)
    assert times is None or PLAN.detectable(3, times) == pytest.approx(0.02, rel=1e-6)


def test_a_planned_difference_is_seen_as_often_as_planned():
    plan = Plan(settings=2, seeds=5, lasting=0, by_image=0, by_seed=2.0, unit_freedom=1e6, quantile=1.959964)
    gap, draw = plan.detectable(5), np.random.default_rng(1)
    first, second = draw.normal(0, 1, (20_000, 5)), draw.normal(gap, 1, (20_000, 5))
    error = ((first.var(axis=1, ddof=1) + second.var(axis=1, ddof=1)) / 5) ** 0.5
    seen = ((second.mean(axis=1) - first.mean(axis=1)) / error > 2.306).mean()
    assert seen == pytest.approx(0.8, abs=0.03)


def said(*arguments, **options):
    text = io.StringIO()
    plan_runs(*arguments, console=Console(file=text, width=120), **options)
    return text.getvalue()


def test_endless_seeds_do_not_see_everything(tmp_path):
    """Where what they leave drowned in the spread of the seeds, it is not known: it is not nothing."""
    for loss, recall in (("dice", 0.8), ("focal", 0.795)):
        for seed in (1, 2, 3):
            counts = some_counts(200, recall + (seed - 2) / 20 * (1 if loss == "dice" else -1), 1)
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=counts)
    text = said([str(tmp_path)], 0.03)
    assert text.count("not known") == 3 and "0.0000" not in text
    assert "it may take more" in text


def test_the_command_says_what_it_takes(tmp_path):
    for loss, recall in (("dice", 0.8), ("focal", 0.79)):
        for seed in (1, 2, 3):
            counts = some_counts(60, recall + seed / 200, seed)
            units = {"patient": [f"p{k % 12}" for k in range(60)]}
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=counts, units=units)
    text = said([str(tmp_path)], 0.01)
    assert "seen: 2 settings with 3 seeds each on 12 patients" in text and "seeds each on the same images" in text
    assert "smallest difference of test/mean_iou" in text and "endless" in text
    for difference, power, words in ((0, 0.8, "--difference must be positive"), (0.01, 2, "--power must lie")):
        with pytest.raises(ConfigError, match=words):
            said([str(tmp_path)], difference, power=power)


def test_where_no_number_of_seeds_will_do_it_says_how_many_units(tmp_path):
    draw = np.random.default_rng(3)
    for number, loss in enumerate(("dice", "focal", "bce")):
        own = draw.integers(-60, 60, (12, 2))  # each loss suits other patients
        for seed in (1, 2, 3):
            counts = some_counts(60, 0.8, 10 * number + seed)
            moved = np.minimum(own[np.arange(60) % 12].clip(-counts[:, 0], counts[:, 2]), 1000)
            counts[:, 0] += moved
            counts[:, 2] -= moved
            units = {"patient": [f"p{k % 12}" for k in range(60)]}
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=counts, units=units)
    text = said([str(tmp_path)], 0.05)
    assert "no number of seeds will do with these images; endless seeds would see 0.1" in text
    assert "with 3 seeds each: " in text and " patients" in text.split("with 3 seeds each: ")[1]


def test_too_few_seeds_cannot_plan(tmp_path):
    for loss in ("dice", "focal"):
        write_run(tmp_path / loss, loss=loss, counts=some_counts(60, 0.8, 1))
    assert "not known well enough to plan with: 0 of the 4 repeats" in said([str(tmp_path)], 0.01)
