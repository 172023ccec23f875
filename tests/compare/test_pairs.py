"""Blocks that some setting lacks, draws of the data, and settings that differ in more than was asked."""

from __future__ import annotations

import json

import pytest

from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from tests.support.fake_runs import some_counts, write_run

RATES = {"0.01": 0.0, "0.001": -0.1, "0.0001": -0.2}


def sweep(root, seeds=3):
    """Dice at three learning rates, focal, which is worse at each, at the best one alone."""
    for lr, loss_of_rate in RATES.items():
        for loss, recall in (("dice", 0.80), ("focal", 0.77)):
            for seed in range(seeds):
                if loss == "dice" or lr == "0.01":
                    counts = some_counts(40, recall + loss_of_rate + 0.001 * seed, seed)
                    write_run(root / f"{loss}-{lr}-{seed}", seed=seed, loss=loss, lr=lr, counts=counts)
    return root


def test_settings_are_chosen_and_shown_on_the_blocks_that_all_have(tmp_path):
    found = compare_runs([sweep(tmp_path)], by=["loss"])
    first, second = found.groups
    assert (first.label, first.best, first.summary.n, second.summary.n) == ("loss=dice", True, 3, 3)
    (verdict,) = found.verdicts
    assert verdict.difference.value == pytest.approx(second.summary.mean - first.summary.mean)
    assert verdict.word == "worse"
    (said,) = (text for text in found.answers[0].sentences if text.startswith("left out, as not every setting"))
    assert "optimizer.lr=0.001 seed=0" in said and said.endswith("and 1 more")
    whole = json.loads(to_json(found))
    assert len(whole["groups"][0]["unpaired"]) == 6 and len(whole["groups"][0]["runs"]) == 3


def test_a_setting_with_one_block_is_set_apart_and_does_not_take_the_others_from_them(tmp_path):
    write_run(sweep(tmp_path, seeds=5) / "bce", loss="bce", seed=0, lr="0.01", counts=some_counts(40, 0.9, 0))
    found = compare_runs([tmp_path], by=["loss"])
    assert [(group.label, group.summary.n) for group in found.groups] == [
        ("loss=dice", 5),
        ("loss=focal", 5),
        ("loss=bce", 1),
    ]
    assert [verdict.word for verdict in found.verdicts] == ["worse", "not comparable"]
    assert "loss=bce was run in 1 of the 5 blocks" in found.verdicts[1].reason
    assert any(text.startswith("better by val/mean_iou, but not comparable: loss=bce") for text in sentences(found))


def test_a_baseline_may_be_a_run_that_is_left_out(tmp_path):
    found = compare_runs([sweep(tmp_path)], by=["loss"], baseline="dice-0.001-0")
    (verdict,) = found.verdicts
    assert verdict.second.label == "loss=dice" and verdict.word == "worse"


def test_settings_that_go_with_another_are_not_told_apart_from_it(tmp_path):
    for loss, lr in (("dice", "0.1"), ("focal", "0.01")):
        for seed in (1, 2, 3):
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, lr=lr, counts=some_counts(40, 0.8, seed))
    notes = compare_runs([tmp_path], by=["loss"]).notes
    assert "settings of loss were run with other values of optimizer.lr: differences may be due to either" in notes


def test_settings_without_any_numbers_are_named(tmp_path):
    write_run(tmp_path / "good", loss="dice")
    for seed in (1, 2):
        write_run(tmp_path / f"bad{seed}", loss="bce", seed=seed, state="failed")
    for loss in ("a", "b", "c", "d", "e", "f"):
        write_run(tmp_path / loss, loss=loss, state="pruned")
    (note,) = (note for note in compare_runs([tmp_path]).notes if "without any numbers" in note)
    assert "loss=bce (2 failed)" in note and note.endswith("and 2 more")


def test_the_best_that_can_be_compared_is_marked_in_every_output(tmp_path):
    for loss, recall in (("dice", 0.80), ("focal", 0.79), ("bce", 0.7)):
        for seed in (1, 2, 3):
            path = write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=some_counts(40, recall, seed))
            if loss == "dice":
                (path / "test_images.csv").unlink()
    found = compare_runs([tmp_path])
    assert [(group.label, group.best) for group in found.groups] == [
        ("loss=dice", False),
        ("loss=focal", True),
        ("loss=bce", False),
    ]
    assert found.answers[0].control is found.groups[1]
    (said,) = (text for text in sentences(found) if text.startswith("better by val"))
    assert said.endswith("dice1: test_images.csv is missing")


def test_equal_settings_have_one_best(tmp_path):
    for loss in ("dice", "focal"):
        write_run(tmp_path / loss, loss=loss)
    assert [group.best for group in compare_runs([tmp_path]).groups] == [True, False]


def test_the_newest_data_come_first_everywhere(tmp_path):
    for number, data in enumerate(("old", "new", "older")):
        write_run(tmp_path / data, data=data, fingerprint=data, finished=(5.0, 9.0, 1.0)[number])
    found = compare_runs([tmp_path])
    assert [group.runs[0].name for group in found.groups] == ["new", "old", "older"]
    assert [found.data_labels[group.data] for group in found.groups] == ["A", "B", "C"]


def draws(root, losses, count):
    for draw in range(count):
        for place, loss in enumerate(losses):
            path = write_run(
                root / f"{loss}{draw}",
                loss=loss,
                score=0.7 - 0.05 * place + 0.04 * draw + 0.001 * ((draw + place) % 2),
                fingerprint=f"draw{draw}",
                images={"train": 80, "val": 20, "test": 20},
            )
            text = (path / "config.yaml").read_text()
            (path / "config.yaml").write_text(text.replace("  batch_size: 16\n", f"  batch_size: 16\n  seed: {draw}\n"))
    return root


def test_the_interval_of_a_score_holds_the_draws_of_the_data_also_beside_others(tmp_path):
    (alone,) = compare_runs([draws(tmp_path / "a", ["dice"], 5)]).groups
    first = compare_runs([draws(tmp_path / "b", ["dice", "focal"], 5)]).groups[0]
    assert first.label == "loss=dice" and alone.summary.low < 0.7 < 0.8 < alone.summary.high
    assert (first.summary.low, first.summary.high) == pytest.approx((alone.summary.low, alone.summary.high))


def test_what_has_to_be_run_for_a_word_is_counted(tmp_path):
    for loss in ("dice", "focal"):
        for seed in (1, 2):
            counts = some_counts(40, 0.8 if loss == "dice" else 0.7, seed)
            write_run(tmp_path / "seeds" / f"{loss}{seed}", seed=seed, loss=loss, counts=counts)
    (verdict,) = compare_runs([tmp_path / "seeds"]).verdicts
    assert verdict.reason == (
        "2 of the 4 repeats that a word needs; 2 more runs in all will do, of any settings here with other seeds"
    )
    found = compare_runs([draws(tmp_path / "draws", ["dice", "focal", "bce"], 2)])
    assert found.verdicts[0].reason.endswith("run every setting on 1 more draw of the data (data.seed)")


def sentences(found):
    return [text for answer in found.answers for text in answer.sentences]
