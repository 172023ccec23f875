"""Seeds, critical values and choices, against tables, formulas and worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.compare.influence import Influence, Term
from segbench.compare.intervals import summarize
from segbench.compare.seeds import Layout, odd_groups, seed_spread
from segbench.compare.selection import chosen_setting, held_out_score, picked_luck
from segbench.compare.simultaneous import Choice, Spread, against_control


def runs(table):
    """Influence and layout of scores `[G, S]` without images."""
    table = np.asarray(table, float)
    return Influence(table.ravel(), ()), Layout(tuple(np.arange(table.size).reshape(table.shape)))


def test_the_spread_of_seeds_is_pooled():
    spread = seed_spread(*runs([[1, 3], [4, 4], [5, 9]]))
    assert (spread.measured, spread.freedom, spread.enough) == (pytest.approx((2 + 0 + 8) / 3), 3, False)
    assert seed_spread(*runs([[1], [2]])).freedom == 0


def test_chance_on_images_is_taken_off_the_spread_of_seeds():
    found, layout = runs([[1, 3], [4, 6]])
    values = np.array([[0.5, -0.5, 0.5, -0.5], [0.5, -0.5, 0.5, -0.5]])
    spread = seed_spread(Influence(found.scores, (Term(1, values, 9.0),)), layout)
    assert spread.measured == pytest.approx(2) and spread.own == pytest.approx(1)


def test_a_group_whose_seeds_lie_apart_keeps_its_own_spread():
    draw = np.random.default_rng(1)
    table = draw.normal(0, 1, (8, 4))
    table[3] *= 12
    found, layout = runs(table)
    assert odd_groups(found.scores, layout.groups) == (3,)
    spread = Spread.of(found, layout)
    assert spread.seeds.freedom == 21
    assert spread.own_seeds[3] == pytest.approx(table[3].var(ddof=1) / 4)
    assert spread.own_seeds[0] == pytest.approx(table[np.arange(8) != 3].var(axis=1, ddof=1).mean() / 4)
    assert (spread.repeats(0, 1), spread.repeats(3, 0)) == (21, 3)


def test_equal_spreads_are_seldom_called_odd():
    found = [odd_groups(*first(np.random.default_rng(k).normal(size=(12, 3)))) for k in range(300)]
    assert 0 < sum(map(bool, found)) <= 9  # 1 %


def first(table):
    found, layout = runs(table)
    return found.scores, layout.groups


def test_paired_runs_leave_what_blocks_have_in_common_out():
    # two losses at three learning rates: the rates differ much, the losses always by 1 or 1.2 or 0.8
    found, _ = runs([[1.0, 5.0, 9.0], [2.0, 6.2, 9.8]])
    layout = Layout((np.arange(3), np.arange(3, 6)), paired=True)
    spread = Spread.of(found, layout)
    differences = np.array([1.0, 1.2, 0.8])
    assert spread.seeds.freedom == 2
    assert spread.variance(0, np.array([1]))[0] == pytest.approx(differences.var(ddof=1) / 3)


def test_overlapping_training_sets_widen_as_nadeau_and_bengio_say():
    found, _ = runs([[1, 2, 3, 4, 5], [1.5, 2.4, 3.6, 4.5, 5.4]])
    layout = Layout((np.arange(5), np.arange(5, 10)), paired=True, overlap=0.25)
    differences = np.array([0.5, 0.4, 0.6, 0.5, 0.4])
    expected = (1 / 5 + 0.25) * differences.var(ddof=1)
    assert Spread.of(found, layout).variance(0, np.array([1]))[0] == pytest.approx(expected)


def equal(settings, seeds=400):
    """Many seeds a setting, all of the same spread: what is left is a normal distribution."""
    table = np.random.default_rng(3).normal(size=(settings, seeds))
    return runs(table - table.mean(axis=1, keepdims=True))


def dunnett(others):
    """Two-sided critical value of `others` equal means against one, all of known variance, by integration."""
    from scipy import optimize, stats

    at = np.linspace(-8, 8, 4001)
    weights = stats.norm.pdf(at) * (at[1] - at[0])

    def covered(value):
        reach = value * 2**0.5
        return weights @ (stats.norm.cdf(at + reach) - stats.norm.cdf(at - reach)) ** others - 0.95

    return optimize.brentq(covered, 1, 5)


def test_critical_values_are_those_of_dunnett_and_tukey():
    test = Spread.of(*equal(12))
    fixed = against_control(test, 0, picked_by=None)
    assert fixed.critical[1] == pytest.approx(dunnett(11), abs=0.04)
    picked = against_control(test, 0, picked_by=Choice(test))
    assert picked.critical[1] == pytest.approx(4.622 / 2**0.5, abs=0.06)  # Tukey's range of 12 over sqrt(2)
    assert fixed.optimism == 0 and picked.optimism == pytest.approx(1.629 / 20, rel=0.03)  # largest of 12 normals
    pair = against_control(Spread.of(*equal(2)), 0, picked_by=None)
    assert pair.critical[1] == pytest.approx(1.96, abs=0.04)


def test_a_choice_by_other_luck_costs_nothing_and_by_the_same_luck_all():
    test, val = Spread.of(*equal(12)), Spread.of(*equal(12))
    by_other = against_control(test, 0, picked_by=Choice(val, correlation=0.0))
    by_same = against_control(test, 0, picked_by=Choice(val, correlation=1.0))
    assert by_other.critical[1] == pytest.approx(dunnett(11), abs=0.04) and abs(by_other.optimism) < 0.002
    assert by_same.critical[1] == pytest.approx(3.27, abs=0.06) and by_same.optimism == pytest.approx(0.0815, rel=0.03)


def test_the_choice_is_made_on_val():
    test, layout = runs([[0.5, 0.5, 0.5], [0.7, 0.7, 0.6]])
    val, _ = runs([[0.9, 0.8, 0.9], [0.5, 0.5, 0.5]])
    found = chosen_setting(test, val, layout=layout)
    assert found.control == 0 and found.value[1] == pytest.approx(1 / 6)
    assert chosen_setting(test, val, layout=layout, sign=-1).control == 1
    assert chosen_setting(test, val, layout=layout, control=1).control == 1


def test_the_score_of_a_choice_is_that_of_runs_that_did_not_choose():
    test = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 30.0])
    val = np.array([5.0, 5.0, 0.0, 4.0, 4.0, 4.0])
    groups = [np.arange(3), np.arange(3, 6)]
    # without the first run: 2.5 against 4; without the second the same; without the third: 5 against 4
    assert held_out_score(test, val, groups=groups) == pytest.approx((10 + 20 + 3) / 3)
    assert held_out_score(test[:2], val[:2], groups=[np.array([0]), np.array([1])]) is None


def test_the_luck_of_the_best_of_equals():
    summaries = [summarize([0.0, 2.0]) for _ in range(12)]
    assert picked_luck([2] * 12, summaries) == pytest.approx(1.629 * 2**0.5 / 2**0.5, rel=0.03)
    assert picked_luck([1, 1], [summarize([1.0])] * 2) == 0
