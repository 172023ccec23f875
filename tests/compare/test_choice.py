"""Chosen on val, reported on test: who is named, what is said of it, and where val is the test."""

from __future__ import annotations

import csv
import io
import json

import pytest

from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from segbench.compare.layout import blocks
from segbench.compare.tables import to_csv, to_markdown
from segbench.report.html.report import to_html
from tests.support.fake_runs import some_counts, write_run


def two(root, **words):
    """Dice is better on val, focal on test; three seeds each."""
    for seed in (1, 2, 3):
        for loss, val, recall in (("dice", 0.80, 0.70), ("focal", 0.70, 0.7004)):
            counts = some_counts(60, recall, seed)
            write_run(root / f"{loss}{seed}", seed=seed, loss=loss, val=val + seed / 1000, counts=counts, **words)
    return compare_runs([root])


def test_the_best_of_val_is_named_and_its_test_stands_beside(tmp_path):
    found = two(tmp_path)
    first, second = found.groups
    assert (first.label, first.best, second.best) == ("loss=dice", True, False)
    assert first.summary.mean < second.summary.mean and first.chosen.mean == pytest.approx(0.802)
    (answer,) = found.answers
    assert answer.control is first and answer.may_be_best == [first, second]
    assert answer.sentences[0].startswith("chosen by val/mean_iou (0.8020): loss=dice, test/mean_iou 0.63")
    assert "2 of 2 settings may be the best: loss=dice, loss=focal" in answer.sentences
    (ahead,) = (text for text in answer.sentences if "ahead of the choice" in text)
    assert ahead.startswith("on test, loss=focal is +0.000") and ahead.endswith("within what chance does")


def test_the_best_run_of_a_group_is_that_of_val(tmp_path):
    for seed, val, score in ((1, 0.9, 0.5), (2, 0.8, 0.7)):
        write_run(tmp_path / f"a{seed}", seed=seed, val=val, score=score)
    (group,) = compare_runs([tmp_path]).groups
    assert [run.name for run in group.runs] == ["a1", "a2"]


def test_every_format_names_the_same_best(tmp_path):
    found = two(tmp_path)
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [(row["loss"], row["best"], row["verdict"]) for row in rows] == [
        ("dice", "best", ""),
        ("focal", "", "may be as good"),
    ]
    assert float(rows[0]["val/mean_iou"]) == pytest.approx(0.802)
    whole = json.loads(to_json(found))
    assert whole["chosen_by"] == "val/mean_iou" and whole["answers"][0]["may_be_best"] == [0, 1]
    assert whole["answers"][0]["detectable_difference"] > 0
    assert "| \\* | dice | 3 | 0.8020 |" in to_markdown(found)


def test_choosing_by_test_is_said_to_flatter(tmp_path):
    two(tmp_path)
    found = compare_runs([tmp_path], metric="test/mean_iou")
    named, size = found.notes
    assert named.startswith("settings are chosen by val/mean_iou; choosing by test/mean_iou would name loss=focal and")
    assert size.startswith("a score that was chosen by itself is flattered, by 0.")
    assert found.groups[0].label == "loss=dice"


def test_a_metric_of_val_is_chosen_and_reported_by_itself(tmp_path):
    for loss, recall in (("dice", 0.8), ("focal", 0.7)):
        for seed in (1, 2, 3):
            counts = some_counts(60, recall, seed)
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, score=0.9 - recall, val_counts=counts)
    found = compare_runs([tmp_path], metric="val/mean_iou")
    assert [group.label for group in found.groups] == ["loss=dice", "loss=focal"]
    assert found.answers[0].sentences[0].startswith("best by val/mean_iou: loss=dice")
    (verdict,) = found.verdicts
    assert verdict.word == "worse"


def test_where_val_is_the_test_every_output_says_so(tmp_path):
    found = two(tmp_path, fingerprint="v")
    assert all(group.flattered == "val is the test" for group in found.groups)
    assert found.answers[0].control is found.groups[0] and found.groups[0].best
    assert any("val is the test here" in text for text in found.answers[0].sentences)
    assert "test/mean_iou (val is the test)" in to_markdown(found)
    assert "test/mean_iou (val is the test)" in to_html(found)
    assert {row["val_is_test"] for row in csv.DictReader(io.StringIO(to_csv(found)))} == {"val is the test"}
    assert json.loads(to_json(found))["groups"][0]["val_is_test"] is True


def test_where_val_is_a_part_of_the_test_every_output_says_so(tmp_path):
    found = two(tmp_path, test_is_val=True)  # with data.val_size: other fingerprints, some of the same images
    assert any("val and test share images here" in text for text in found.answers[0].sentences)
    assert "test/mean_iou (val and test share images)" in to_markdown(found)
    assert "test/mean_iou (val and test share images)" in to_html(found)
    assert {row["val_is_test"] for row in csv.DictReader(io.StringIO(to_csv(found)))} == {"val and test share images"}
    assert json.loads(to_json(found))["groups"][0]["val_is_test"] is True


def test_what_cannot_be_compared_is_not_marked_as_the_best_beside_a_baseline_either(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path / f"dice{seed}", loss="dice", seed=seed, counts=some_counts(60, 0.8, seed))
        write_run(tmp_path / f"focal{seed}", loss="focal", seed=seed, counts=some_counts(60, 0.7, seed))
    write_run(tmp_path / "untold", loss="jaccard", score=0.99)
    for baseline in (None, "focal1", "dice1"):
        found = compare_runs([tmp_path], baseline=baseline)
        assert [group.label for group in found.groups if group.best] == ["loss=dice"]


def test_of_two_data_sets_the_one_whose_val_is_the_test_is_named(tmp_path):
    for data in ("fgbg", "camvid"):
        for loss in ("dice", "focal"):
            write_run(tmp_path / f"{data}-{loss}", loss=loss, data=data, fingerprint=data, test_is_val=data == "camvid")
    found = compare_runs([tmp_path])
    letter = {group.settings["data"]: found.data_labels[group.data] for group in found.groups}["camvid"]
    said = f"test/mean_iou (data {letter}: val and test share images)"
    assert said in to_markdown(found) and said in to_html(found)
    heads = [[column.head for column in block.columns] for block in blocks(found, 200)]
    assert sorted("test/mean_iou" in head for head in heads) == [False, True]
    assert sorted("test/mean_iou (val and test share images)" in head for head in heads) == [False, True]


def test_one_setting_whose_val_is_the_test_was_not_chosen_among_others(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path / f"{seed}", seed=seed, counts=some_counts(60, 0.8, seed), test_is_val=True)
    (answer,) = compare_runs([tmp_path]).answers
    (text,) = (text for text in answer.sentences if "val and test share images" in text)
    assert text.endswith(
        "here: the epochs of its runs were chosen by images that are reported, which flatters the score"
    )


def test_lost_seeds_are_counted(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path / f"a{seed}", seed=seed, loss="dice", score=0.8)
    write_run(tmp_path / "a4", seed=4, loss="dice", state="failed")
    write_run(tmp_path / "a5", seed=5, loss="dice", state="pruned")
    found = compare_runs([tmp_path])
    assert found.groups[0].lost == {"failed": 1, "pruned": 1}
    assert "3 of 5" in to_markdown(found)
    assert any("missing in the scores of" in note and "(1 failed, 1 pruned)" in note for note in found.notes)
    assert sorted(run.state for run in found.others) == ["failed", "pruned"]


def test_one_setting_alone_is_no_choice(tmp_path):
    for seed in (1, 2, 3, 4, 5):
        write_run(tmp_path / f"a{seed}", seed=seed, counts=some_counts(60, 0.8, seed))
    (answer,) = compare_runs([tmp_path]).answers
    assert answer.sentences[0].startswith("the one setting has nothing to be compared with: test/mean_iou 0.7")
    assert answer.sentences[0].endswith("of its 5 runs") and answer.may_be_best == []


def test_skipped_steps_are_said(tmp_path):
    path = write_run(tmp_path / "a")
    results = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(results | {"skipped_steps": {"count": 7, "steps": [3]}}))
    assert any("gradient that is no number: a (7)" in note for note in compare_runs([tmp_path]).notes)


def test_images_and_a_trivial_score_stand_beside_the_figures(tmp_path):
    baselines = {"test": {"most_frequent": {"class": "background", "mean_iou": 0.3111}}}
    write_run(tmp_path / "a", images={"train": 10, "val": 4, "test": 60}, baselines=baselines)
    lines = to_markdown(compare_runs([tmp_path])).splitlines()
    assert " images | one class |" in lines[0] and " 60 | 0.3111 |" in lines[2]


def test_masks_without_a_score_of_val_are_judged_but_never_chosen(tmp_path):
    two(tmp_path)
    for seed in (1, 2, 3):
        path = write_run(tmp_path / f"other{seed}", seed=seed, loss="other", counts=some_counts(60, 0.9, seed))
        results = json.loads((path / "results.json").read_text())
        del results["metrics"]["val/mean_iou"]
        (path / "results.json").write_text(json.dumps(results))
    found = compare_runs([tmp_path])
    words = {verdict.first.label: verdict.word for verdict in found.verdicts}
    assert words == {"loss=focal": "may be as good", "loss=other": "better"}
    assert found.answers[0].control.label == "loss=dice"
    assert any("loss=other is" in text and "more than chance does" in text for text in found.answers[0].sentences)


def test_only_so_many_groups_are_judged_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("segbench.compare.judge.MAX_JUDGED", 2)
    for number, loss in enumerate(("a", "b", "c", "d")):
        for seed in (1, 2, 3):
            counts = some_counts(60, 0.8 - number / 50, seed)
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=counts)
    found = compare_runs([tmp_path])
    assert [verdict.first.label for verdict in found.verdicts] == ["loss=b"]
    assert "only the 2 best by val/mean_iou are judged, 2 others are not" in found.answers[0].sentences


def test_a_setting_whose_seeds_lie_far_apart_is_named(tmp_path):
    for loss, mean, spread in (("a", 0.8, 0.001), ("b", 0.8, 0.001), ("c", 0.75, 0.06), ("d", 0.8, 0.001)):
        for seed in (1, 2, 3):
            counts = some_counts(60, mean + spread * (seed - 2), seed)
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=counts)
    found = compare_runs([tmp_path])
    (text,) = (text for text in found.answers[0].sentences if "lie further apart" in text)
    assert text.startswith("the seeds of loss=c lie further apart than chance allows, sd 0.")
    words = {verdict.first.label: verdict.word for verdict in found.verdicts}
    assert words["loss=c"] == "too few seeds" and "too few seeds" not in {words.get(f"loss={k}") for k in "abd"}
