"""Units, blocks, draws of the data and folds in whole comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.compare.comparison import compare_runs
from segbench.compare.tables import trivial_score
from tests.support.fake_runs import mean_iou, some_counts, write_run


def pair(root, images, units, **words):
    for loss, recall in (("dice", 0.75), ("focal", 0.70)):
        for seed in (1, 2, 3):
            counts = some_counts(images, recall, seed)
            write_run(root / f"{loss}{seed}", seed=seed, loss=loss, counts=counts, units=units, **words)
    (verdict,) = compare_runs([root]).verdicts
    return verdict


def test_crossed_units_are_named_and_widen_the_interval(tmp_path):
    fore, back = [f"f{k % 24}" for k in range(312)], [f"b{k % 13}" for k in range(312)]
    verdict = pair(tmp_path / "a", 312, {"foreground": fore, "background": back})
    assert verdict.images == "24 foregrounds x 13 backgrounds"
    assert verdict.sentence.endswith("(24 foregrounds x 13 backgrounds, 3 seeds each)")
    alone = pair(tmp_path / "b", 312, {})
    assert alone.images == "312 images taken as independent"
    assert alone.difference.value == verdict.difference.value


def test_one_recording_says_nothing_of_others(tmp_path):
    verdict = pair(tmp_path, 80, {"recording": ["0016E5"] * 80})
    found = compare_runs([tmp_path])
    assert "one recording: nothing can be said about other recordings" in found.answers[0].sentences
    assert verdict.images == "80 images within one recording"
    assert "loss=focal is worse here than loss=dice" in verdict.sentence
    assert "within-unit interval" in verdict.sentence and found.answers[0].scope == "within"


def test_by_pairs_runs_of_the_same_other_settings(tmp_path):
    for number, lr in enumerate(("0.01", "0.003", "0.001", "0.0003", "0.0001")):
        for loss, recall in (("dice", 0.75), ("focal", 0.74)):
            counts = some_counts(400, recall - 0.12 * number, number)
            write_run(tmp_path / f"{loss}{lr}", loss=loss, lr=lr, counts=counts)
    write_run(tmp_path / "alone", loss="dice", lr="0.5", counts=some_counts(400, 0.75, 9))
    found = compare_runs([tmp_path], by=["loss"])
    (verdict,) = found.verdicts
    assert verdict.word == "worse" and "over 5 values of optimizer.lr, 1 seed each" in verdict.sentence
    each = [group.runs for group in found.groups]
    scores = [{run.settings["optimizer.lr"]: run.metrics["test/mean_iou"] for run in runs} for runs in each]
    mean = np.mean([scores[1][lr] - scores[0][lr] for lr in scores[1]])
    np.testing.assert_allclose(verdict.difference.value, mean)
    assert any(
        "not every setting was run there: optimizer.lr=0.5 seed=1" in text for text in found.answers[0].sentences
    )


def test_draws_of_the_data_are_replications(tmp_path):
    draw = np.random.default_rng(1)
    for fold in range(5):
        hard = draw.normal(0, 0.05)
        for loss, score in (("dice", 0.75), ("focal", 0.70)):
            path = write_run(
                tmp_path / f"{loss}{fold}",
                loss=loss,
                score=score + hard + draw.normal(0, 0.004),
                fingerprint=f"fold{fold}",
                images={"train": 80, "val": 20, "test": 20},
                baselines={"test": {"most_frequent": {"class": "a", "mean_iou": 0.1 * fold}}},
            )
            text = (path / "config.yaml").read_text()
            (path / "config.yaml").write_text(text.replace("  batch_size: 16\n", f"  batch_size: 16\n  seed: {fold}\n"))
    found = compare_runs([tmp_path])
    assert found.columns == ["loss"] and [group.summary.n for group in found.groups] == [5, 5]
    assert [trivial_score(found, group) for group in found.groups] == pytest.approx([0.2, 0.2])  # of all draws
    (verdict,) = found.verdicts
    assert verdict.word == "worse" and "over 5 draws of the data, 1 run each" in verdict.sentence
    values = [[run.metrics["test/mean_iou"] for run in sorted(g.runs, key=lambda r: r.name)] for g in found.groups]
    differences = np.subtract(values[1], values[0])
    error = (differences.var(ddof=1) * (1 / 5 + 20 / 80)) ** 0.5  # Nadeau and Bengio 2003
    np.testing.assert_allclose(verdict.difference.value, differences.mean())
    np.testing.assert_allclose(verdict.difference.high - verdict.difference.value, 2.776445 * error, rtol=0.05)


def write_folds(root, losses=("dice", "focal"), missing=()):
    """Write 5 folds x 2 seeds, of 10 to 30 pictures each, and return the counts of each run."""
    tables = {}
    for fold in range(5):
        for loss, recall in zip(losses, (0.75, 0.70), strict=False):
            for seed in (1, 2):
                counts = some_counts(10 + 5 * fold, recall - 0.03 * fold, 10 * fold + seed)
                words = {"fingerprint": f"fold{fold}", "images": {"train": 80, "val": 20, "test": 10 + 5 * fold}}
                if (loss, fold, seed) in missing:
                    write_run(root / f"{loss}{fold}{seed}", loss=loss, seed=seed, state="failed")
                    continue
                tables[loss, seed, fold] = counts
                path = write_run(root / f"{loss}{fold}{seed}", loss=loss, seed=seed, counts=counts, **words)
                text = (path / "config.yaml").read_text()
                own = f"  batch_size: 16\n  folds: 5\n  fold: {fold}\n  seed: 0\n"
                (path / "config.yaml").write_text(text.replace("  batch_size: 16\n", own))
    return tables


def test_pictures_of_all_folds_are_pooled_as_one_experiment(tmp_path):
    tables = write_folds(tmp_path)
    found = compare_runs([tmp_path])
    pooled = {}
    worth = {}
    for loss in ("dice", "focal"):
        wholes, values = [], []
        for seed in (1, 2):
            folds = [tables[loss, seed, fold] for fold in range(5)]
            whole = mean_iou(np.concatenate(folds).sum(axis=0))
            without = [mean_iou(np.concatenate(folds[:k] + folds[k + 1 :]).sum(axis=0)) for k in range(5)]
            wholes.append(whole)
            values.append([5 * whole - 4 * one for one in without])
        pooled[loss] = np.mean(wholes)
        worth[loss] = np.mean(values, axis=0)
    assert {group.label: group.summary.mean for group in found.groups} == pytest.approx(
        {f"loss={loss}": mean for loss, mean in pooled.items()}
    )
    assert [(group.images, group.summary.n) for group in found.groups] == [("100", 10), ("100", 10)]
    truth = np.concatenate([tables["dice", 1, fold] for fold in range(5)])[:, [0, 2]].sum(axis=(0, 1))
    trivial = truth.max() / truth.sum() / len(truth)  # the IoU of the painted class, 0 of the others
    assert [trivial_score(found, group) for group in found.groups] == pytest.approx([trivial, trivial])
    (verdict,) = found.verdicts
    assert verdict.word == "worse"
    assert "over 5 folds of 100 pictures pooled, 2 runs each" in verdict.sentence
    assert verdict.difference.value == pytest.approx(pooled["focal"] - pooled["dice"])
    share = np.mean([(10 + 5 * fold) / 80 for fold in range(5)])
    error = ((worth["focal"] - worth["dice"]).var(ddof=1) * (1 / 5 + share)) ** 0.5  # Nadeau and Bengio 2003
    assert verdict.difference.high - verdict.difference.value == pytest.approx(2.776445 * error, rel=0.05)


def test_folds_of_which_one_failed_are_still_the_same_data(tmp_path):
    write_folds(tmp_path, missing=[("focal", 2, 1), ("focal", 2, 2)])
    found = compare_runs([tmp_path])
    (verdict,) = found.verdicts
    assert verdict.word == "too few seeds" and "3 of the 4 repeats" in verdict.reason
    assert verdict.reason.endswith("run every setting on 1 more draw of the data (data.seed)")
    assert any(
        "left out, as not every setting was run there" in text and "seed=1 data.seed=0 data.fold=2" in text
        for text in found.answers[0].sentences
    )


def test_one_setting_on_all_folds_has_an_interval_of_other_draws(tmp_path):
    tables = write_folds(tmp_path, losses=("dice",))
    (group,) = compare_runs([tmp_path]).groups
    pooled = np.mean([mean_iou(sum(tables["dice", s, f].sum(axis=0) for f in range(5))) for s in (1, 2)])
    assert group.summary.mean == pytest.approx(pooled)
    assert group.summary.low < pooled < group.summary.high


def test_few_units_are_called_what_they_are(tmp_path):
    pair(tmp_path, 80, {"site": ["north", "south"] * 40})
    (answer,) = compare_runs([tmp_path]).answers
    assert answer.basis == "other seeds on other images of the same sites"
