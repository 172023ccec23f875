"""Settings over several data sets: ranks, Demsar's critical difference, wins and profiles by hand."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from segbench.compare.across import critical_difference, mean_ranks
from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from segbench.compare.tables import to_markdown
from segbench.compare.terminal import print_comparison
from segbench.core.errors import ConfigError
from tests.support.fake_runs import write_run

SCORES = {"dice": (0.80, 0.70, 0.60, 0.90), "focal": (0.70, 0.695, 0.50, 0.85), "bce": (0.60, 0.75, 0.40, 0.80)}


def write(root, scores=SCORES):
    for loss, values in scores.items():
        for number, score in enumerate(values):
            for seed in (1, 2):
                write_run(
                    root / f"{loss}{number}{seed}",
                    loss=loss,
                    data=f"set{number}",
                    score=score,
                    seed=seed,
                    fingerprint=f"f{number}",
                )
    return root


def test_critical_differences_are_demsars_where_data_sets_are_many():
    # table 5 of Demsar (2006): q_0.05 of 2, 3, 5 classifiers; mean ranks come in steps of 1 / data
    for settings, quantile in {2: 1.960, 3: 2.343, 5: 2.728}.items():
        normal = quantile * (settings * (settings + 1) / (6 * 60)) ** 0.5
        assert critical_difference(settings, 60) == pytest.approx(normal, abs=2 / 60)


def test_critical_differences_hold_for_few_data_sets():
    # two settings: the same one wins on all of n data sets in 2 / 2^n of comparisons, 6.25 % of five, 3.1 % of six
    assert [critical_difference(2, data) for data in (2, 4, 5, 6)] == [None, None, None, 1.0]
    assert critical_difference(3, 2) is None  # first on both, the other last on both: 6 / 36


def test_ranks_share_ties():
    np.testing.assert_allclose(mean_ranks(np.array([[3.0, 1.0], [2.0, 1.0], [1.0, 0.0]])), [1.25, 1.75, 3.0])


def test_settings_are_ranked_over_data(tmp_path):
    found = compare_runs([write(tmp_path)], over="data")
    across = found.across
    assert across.data == ("set3", "set0", "set1", "set2") or set(across.data) == {f"set{k}" for k in range(4)}
    first = across.contenders[0]
    assert (first.label, first.rank) == ("loss=dice", 1.25)
    by_label = {one.label: one for one in across.contenders}
    assert by_label["loss=focal"].record == (0, 1, 3) and by_label["loss=bce"].record == (1, 0, 3)
    assert by_label["loss=dice"].profile == (0.75, 0.75, 0.75, 1.0)
    assert by_label["loss=focal"].rank == 2.25 and by_label["loss=bce"].rank == 2.5
    assert any("3 of 3 settings may be the best" in text for text in across.sentences)  # 1.25 < 1.75
    assert "loss=dice has the best mean rank by val (1.25), and 1.25 by test" in across.sentences[0]
    whole = json.loads(to_json(found))["over"]
    assert whole["critical_difference"] == 1.75  # the first step above Demsar's 1.66
    assert "| loss=focal |" in to_markdown(found)


def test_too_few_data_sets_name_no_best(tmp_path):
    scores = {"dice": (0.8, 0.7, 0.6, 0.9), "focal": (0.7, 0.6, 0.5, 0.8)}
    across = compare_runs([write(tmp_path, scores)], over="data").across
    assert across.critical is None
    assert across.sentences[1].startswith("4 data sets are too few to say which of 2 settings may be the best")


def test_incomplete_settings_are_named(tmp_path):
    found = compare_runs([write(tmp_path, {**SCORES, "lovasz": (0.9,)})], over="data")
    assert found.across.left_out == ("loss=lovasz",)
    assert any("left out, as not run on all data sets: loss=lovasz" in text for text in found.across.sentences)


def test_one_data_set_is_refused(tmp_path):
    write(tmp_path, {"dice": (0.8,), "focal": (0.7,)})
    with pytest.raises(ConfigError, match="it takes two settings that were run on each of two or more values of data"):
        compare_runs([tmp_path], over="data")
    with pytest.raises(ConfigError, match="--over: no run has a setting 'dat'; did you mean 'data'"):
        compare_runs([tmp_path], over="dat")


@pytest.mark.parametrize("width", [80, 60, 200])
def test_every_number_is_shown_whole_at_any_width(tmp_path, width):
    found = compare_runs([write(tmp_path)], over="data")
    text = io.StringIO()
    print_comparison(Console(file=text, width=width, color_system=None), found)
    shown = text.getvalue()
    shown = shown[shown.index("settings ") : shown.index("over 4 data sets")]
    assert max(len(line) for line in shown.splitlines()) <= width and "…" not in shown
    tables = sum(line.startswith("settings") for line in shown.splitlines())
    assert tables == {80: 2, 60: 3, 200: 1}[width] and shown.count("\nloss=focal ") == tables
    for word in ("0.6950", "2.25", "0 / 1 / 3", "within 0.05"):
        assert word in shown
