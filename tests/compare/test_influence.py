"""What units do to scores, against loops, hand values and classical formulas."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.compare.images import scorer
from segbench.compare.influence import influence
from segbench.compare.units import Design, Scope

IOU = scorer("test/mean_iou", ("a", "b"))


def mean(sums):
    """Score of counts (value, 1): the plain mean, for which all is known."""
    return sums[..., 0] / sums[..., 1]


def plain(values):
    """Counts `[N, M, 2]` of values `[N, M]`."""
    return np.stack([values, np.ones_like(values)], axis=-1)


def variance(found):
    return sum(term.sign * (term.values**2).sum(axis=0) for term in found.terms)


def test_independent_images_have_the_variance_of_a_mean():
    values = np.random.default_rng(1).normal(size=(50, 3))
    found = influence(plain(values), mean, design=Design.of(50, {}))
    np.testing.assert_allclose(found.scores, values.mean(axis=0))
    np.testing.assert_allclose(variance(found), values.var(axis=0, ddof=1) / 50)
    assert found.freedom == 49


def test_units_are_left_out_one_by_one():
    draw = np.random.default_rng(2)
    counts = draw.integers(1, 90, (40, 2, 6)).astype(float)
    patients = draw.integers(0, 7, 40)
    found = influence(counts, IOU, design=Design.of(40, {"patient": [str(one) for one in patients]}))
    without = np.array([IOU(counts[patients != one].sum(axis=0)) for one in range(7)])
    expected = 6 / 7 * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(variance(found), expected)


def test_crossed_units_have_a_plus_b_minus_ab():
    draw = np.random.default_rng(3)
    rows, columns = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    values = draw.normal(size=12)[rows] + 2 * draw.normal(size=8)[columns] + draw.normal(size=96)
    design = Design.of(96, {"foreground": rows.astype(str), "background": columns.astype(str)})
    found = influence(plain(values[:, None]), mean, design=design)
    table = values.reshape(12, 8)
    expected = table.mean(axis=1).var(ddof=1) / 12 + table.mean(axis=0).var(ddof=1) / 8 - values.var(ddof=1) / 96
    assert variance(found)[0] == pytest.approx(expected)
    assert [term.sign for term in found.terms] == [1, 1, -1] and found.freedom == pytest.approx(7)


def test_unequal_units_have_fewer_degrees_of_freedom():
    equal = [str(k) for k in range(10) for _ in range(4)]
    unequal = ["0"] * 31 + [str(k) for k in range(1, 10)]
    freedom = [
        influence(plain(np.zeros((40, 1))), mean, design=Design.of(40, {"site": sites})).freedom
        for sites in (equal, unequal)
    ]
    assert freedom[0] == pytest.approx(9) and freedom[1] == 1


def test_few_units_get_blocks_in_time_as_long_as_images_depend_on_each_other():
    draw = np.random.default_rng(4)
    series = np.zeros((300, 2))
    for step in range(1, 300):
        series[step] = 0.9 * series[step - 1] + draw.normal(size=2)
    design = Design.of(300, {"recording": ["one"] * 300})
    assert design.scope is Scope.WITHIN and design.words == "300 images within one recording"
    assert design.silence == "one recording: nothing can be said about other recordings"
    found = influence(plain(series), mean, design=design)
    assert 15 <= found.block <= 45
    # overlapping blocks weigh covariances by Bartlett's triangle (Kuensch 1989)
    centred = (series - series.mean(axis=0)) * np.sqrt(299 / 300) / 299
    lags = np.abs(np.arange(300)[:, None] - np.arange(300))
    weights = np.maximum(1 - lags / found.block, 0)
    expected = np.einsum("im,ij,jm->m", centred, weights, centred)
    np.testing.assert_allclose(variance(found), expected, rtol=1e-6)
    alone = influence(plain(series), mean, design=Design.of(300, {}))
    assert (variance(found) > 4 * variance(alone)).all()
    noise = influence(plain(draw.normal(size=(300, 2))), mean, design=design)
    assert noise.block <= 4


def test_words_of_designs():
    labels = {"foreground": [str(k % 24) for k in range(312)], "background": [str(k % 13) for k in range(312)]}
    assert Design.of(312, labels).words == "24 foregrounds x 13 backgrounds"
    assert Design.of(400, {}).words == "400 images taken as independent"
    mixed = Design.of(60, {"photo": [str(k) for k in range(60)], "category": ["a", "b", "c"] * 20})
    assert mixed.words == "60 photos" and mixed.scope is Scope.UNITS
    assert mixed.silence == "three categories: nothing can be said about other categories"
