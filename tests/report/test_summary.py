"""The table at the end of a run."""

import io

import pytest
from rich.console import Console

from segbench.report.summary import print_summary

CLASSES = ["background", "road"]


def entry(value):
    return {"best": value, "last": value, "best_epoch": 0}


def results():
    metrics = {}
    for split, base in (("val", 0.1), ("test", 0.2)):
        for number, kind in enumerate(("iou", "dice", "accuracy")):
            metrics |= {f"{split}/{kind}/{name}": entry(base + number / 100) for name in CLASSES}
            metrics[f"{split}/mean_{kind}"] = entry(base + number / 1000)
    painted = {"mean_iou": 0.4321, "mean_dice": 0.4, "mean_accuracy": 0.5}
    known = {"most_frequent": {"class": "background", **painted}, "all_foreground": {"class": "road", **painted}}
    return {
        "metrics": metrics,
        "images": {"train": 9, "val": 1234, "test": 56},
        "images_with_class": {"val": {"background": 1234, "road": 7}, "test": {"background": 56, "road": 0}},
        "baselines": {"val": known, "test": known},
    }


def printed(width, content):
    console = Console(file=io.StringIO(), width=width)
    print_summary(console, content, classes=CLASSES)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_figure_stands_beside_its_pictures_and_the_trivial_baselines(width):
    text = printed(width, results())
    rows = [line.split() for line in text.splitlines()]
    road = [cell for row in rows if row and row[0] == "road" for cell in row[1:]]
    assert road == ["7", "0.1000", "0.1100", "0.1200", "0", "0.2000", "0.2100", "0.2200"]
    means = [cell for row in rows if row and row[0] == "mean" for cell in row[1:]]
    assert [means[0], means[4]] == ["1,234", "56"]
    assert text.count("0.4321") == 4  # two baselines, two splits
    assert "most frequent" in text
    assert "all road" in text
    assert "…" not in text


def test_a_foreground_that_is_most_frequent_is_said_once():
    content = results()
    for split in ("val", "test"):
        content["baselines"][split]["most_frequent"] = dict(content["baselines"][split]["all_foreground"])
    text = printed(100, content)
    assert "most frequent (road)" in text
    assert "all road" not in text


def test_results_of_a_run_that_states_neither_are_shown_all_the_same():
    text = printed(80, {"metrics": results()["metrics"]})
    assert "most frequent" not in text
    assert "0.1000" in text


def test_where_there_is_no_room_for_all_scores_the_iou_is_whole():
    text = printed(40, results())
    rows = [line.split() for line in text.splitlines()]
    road = [cell for row in rows if row and row[0] == "road" for cell in row[1:]]
    assert road == ["7", "0.1000", "0", "0.2000"]
    assert "no room for Dice and accuracy" in text
    assert max(map(len, text.splitlines())) <= 40
    assert "…" not in text
