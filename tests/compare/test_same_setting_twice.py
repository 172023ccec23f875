"""Runs of one setting, halved: equal ones get no word, and halves that do differ get one, so that silence is no law."""

from __future__ import annotations

import numpy as np

from scripts.same_setting_twice import halves, settings_below, twice
from segbench.compare.verdict import Word
from tests.support.fake_runs import some_counts, write_run


def some_runs(folder, recalls):
    for seed, recall in enumerate(recalls):
        counts = some_counts(200, recall, seed=seed)
        write_run(folder / f"run{seed}", seed=seed, counts=counts, val_counts=some_counts(200, recall, seed=100 + seed))
    (found,) = settings_below([str(folder)])
    return twice(found)


def test_every_way_to_halve_six_runs_once():
    found = list(halves(6))
    assert len(found) == 10  # 6! / (3! 3! 2)
    assert len({frozenset(half) for half in found}) == 10
    assert all(len(half) == 3 and half[0] == 0 for half in found)
    assert found[0] == (0, 1, 2)


def test_equal_runs_get_no_word(tmp_path):
    said = some_runs(tmp_path, 0.8 + 0.005 * np.array([0, 1, -1, 0.5, -0.5, 0]))
    assert said.words == [Word.OPEN] * 10
    assert said.first.seeds == (3, 3)


def test_halves_that_differ_get_a_word(tmp_path):
    said = some_runs(tmp_path, [0.9, 0.902, 0.898, 0.7, 0.702, 0.698])
    assert said.first.word is Word.WORSE
    assert said.words.count(Word.WORSE) == 1
