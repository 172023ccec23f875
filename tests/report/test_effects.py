"""How much of the score a setting explains, which units are worst, and that the page stays small."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.compare.comparison import compare_runs
from segbench.report.html import pictures
from segbench.report.html.effects import effects_data, epsilon_squared, variance_shares
from segbench.report.html.unit_scores import unit_scores
from tests.support.fake_runs import mean_iou, some_counts, write_run


def test_the_share_of_a_setting_worked_out_by_hand():
    scores, levels = np.array([1.0, 2.0, 5.0, 6.0]), np.array([0, 0, 1, 1])
    # between: 2 * 4 + 2 * 4 = 16, within: 1, of 17; less one degree of freedom at 1 / 2
    assert epsilon_squared(scores, levels) == pytest.approx((16 - 0.5) / 17)


def test_settings_that_do_nothing_explain_nothing_on_average():
    draw = np.random.default_rng(0)
    found = [epsilon_squared(draw.normal(size=40), np.arange(40) % 4) for _ in range(300)]
    plain = 3 / 39  # what the share of variance would say without the correction
    assert np.mean(found) < plain / 2


def test_shares_name_the_setting_that_matters_with_its_interval(tmp_path):
    noise = np.random.default_rng(1)
    for model in ("unet", "fcn", "gcn"):
        for loss in ("dice", "focal", "bce"):
            for seed in (1, 2):
                score = 0.6 + 0.1 * (model == "unet") + 0.005 * noise.normal()
                write_run(tmp_path / f"{model}-{loss}-{seed}", seed=seed, model=model, loss=loss, score=score)
    found = compare_runs([tmp_path])
    first, second = variance_shares(found.groups)
    assert (first.name, second.name) == ("model", "loss")
    assert first.share > 0.9 > 0.2 > second.share and first.low <= first.share <= first.high
    data = effects_data(found)
    assert len(data["points"]) == 9 and data["settings"] == found.columns
    assert data["short"] == [{}] * len(found.columns)
    assert variance_shares(found.groups[:5]) == []


def test_long_values_that_begin_and_end_alike_are_told_apart_in_the_plots(tmp_path):
    models = ("smp_unet_with_efficientnet", "smp_fpn_with_efficientnet")
    for model in models:
        write_run(tmp_path / model, model=model)
    found = compare_runs([tmp_path])
    (short,) = effects_data(found)["short"]
    assert set(short) == set(models)
    assert short[models[0]].startswith("..unet") and short[models[1]].startswith("..fpn")


def test_panels_share_a_budget(tmp_path, monkeypatch):
    for number in range(3):
        run = write_run(tmp_path / f"{number}", loss=f"l{number}", score=0.9 - number / 10)
        (run / "samples").mkdir()
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)).save(
            run / "samples" / "test.png"
        )
    monkeypatch.setattr(pictures, "MAX_TOTAL", 16_000)  # a panel takes 6,500
    first, second, third = pictures.sample_panels(compare_runs([tmp_path]))
    assert first.uri and second.uri and not third.uri
    assert third.reason == "the page has no room for more; it lies in samples/test.png of the run"


def test_worst_units_are_scored_over_all_their_images(tmp_path):
    counts = some_counts(6, 0.8, 1)
    counts[4:, 0] //= 2  # the last recording is hard
    recordings = ["a", "a", "b", "b", "c", "c"]
    write_run(tmp_path / "one", loss="dice", counts=counts, units={"recording": recordings})
    write_run(tmp_path / "two", loss="focal", counts=some_counts(6, 0.6, 2), units={"recording": recordings})
    (table,) = unit_scores(compare_runs([tmp_path]))
    assert (table.factor, table.count, len(table.runs)) == ("recording", 3, 2)
    by_name = {name: (images, scores[0]) for name, images, scores in table.rows}
    assert by_name["c"] == (2, pytest.approx(mean_iou(counts[4:].sum(axis=0))))
    assert by_name["a"] == (2, pytest.approx(mean_iou(counts[:2].sum(axis=0))))
    means = [sum(scores) / 2 for _, _, scores in table.rows]
    assert means == sorted(means) and table.rows[0][0] == "c"
