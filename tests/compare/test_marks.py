"""What is said of runs whose numbers are not what they look like: scores at another size, resumes by force."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from segbench.compare.tables import to_markdown
from segbench.report.html.classes import heat_map
from segbench.report.html.report import to_html
from tests.support.fake_runs import mean_iou, some_counts, write_run


def at_input(path):
    """Give the scores of a run the names of those at the network's input, as `evaluate.score_at=input` does."""
    results = json.loads((path / "results.json").read_text())
    results["metrics"] = {f"{name}_at_input": value for name, value in results["metrics"].items()}
    (path / "results.json").write_text(json.dumps(results))
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("task: mask", "task: mask\nevaluate:\n  score_at: input"))


def three_seeds(root, loss, recall, **words):
    counts = [some_counts(60, recall, seed) for seed in (1, 2, 3)]
    scores = {"test/iou/background": recall, "test/iou/foreground": recall}
    baselines = {"test": {"most_frequent": {"mean_iou": 0.25}}}
    words = {"metrics": scores, "baselines": baselines, **words}
    paths = [
        write_run(root / f"{loss}{seed}", seed=seed, loss=loss, counts=table, **words)
        for seed, table in enumerate(counts, 1)
    ]
    return paths, [mean_iou(table.sum(axis=0)) for table in counts]


def test_scores_at_the_input_get_verdicts_of_their_own(tmp_path):
    scores = {}
    for loss, recall in (("dice", 0.8), ("focal", 0.7)):
        paths, scores[loss] = three_seeds(tmp_path, loss, recall)
        for path in paths:
            at_input(path)
    found = compare_runs([tmp_path])
    assert found.measure.metric == "test/mean_iou_at_input" and found.measure.chosen_by == "val/mean_iou_at_input"
    means = {group.label: group.summary.mean for group in found.groups}
    assert means == pytest.approx({f"loss={loss}": np.mean(values) for loss, values in scores.items()})
    (verdict,) = found.verdicts
    assert verdict.word == "worse" and verdict.images == "60 images taken as independent"
    assert 0 < found.groups[0].summary.low < found.groups[0].summary.high < 1
    heat = heat_map(found)
    assert heat.metric == "test/iou_at_input" and heat.rows[0][1] == pytest.approx([0.8, 0.8])
    assert "| 0.2500 |" in to_markdown(found)


def test_scores_of_two_sizes_are_never_mixed_and_both_are_named(tmp_path):
    three_seeds(tmp_path, "dice", 0.7)
    paths, _ = three_seeds(tmp_path, "focal", 0.9)
    for path in paths:
        at_input(path)
    found = compare_runs([tmp_path])
    assert found.metric == "test/mean_iou"
    assert [group.summary.n for group in found.groups] == [3, 0] and not found.verdicts
    (note,) = [note for note in found.notes if "at_input" in note]
    assert note == (
        "3 runs have no test/mean_iou, but test/mean_iou_at_input, which is another score;"
        " --metric test/mean_iou_at_input compares those"
    )
    other = compare_runs([tmp_path], metric="test/mean_iou_at_input")
    assert [group.summary.n for group in other.groups] == [3, 0]
    assert any("have no test/mean_iou_at_input, but test/mean_iou, which" in note for note in other.notes)


def test_a_class_may_be_called_what_a_size_is(tmp_path):
    classes = ("sky", "seen_at_input")
    for seed in (1, 2):
        write_run(tmp_path / str(seed), seed=seed, counts=some_counts(20, 0.8, seed), classes=classes)
        results = json.loads((tmp_path / str(seed) / "results.json").read_text())
        sums = some_counts(20, 0.8, seed).sum(axis=0)[:, 1]
        iou = sums[0] / sums.sum()
        results["metrics"]["test/iou/seen_at_input"] = {"best": iou, "last": iou, "best_epoch": 1}
        (tmp_path / str(seed) / "results.json").write_text(json.dumps(results))
    (group,) = compare_runs([tmp_path], metric="test/iou/seen_at_input").groups
    assert group.summary.low is not None


def test_resumes_by_force_are_marked_everywhere(tmp_path):
    paths, _ = three_seeds(tmp_path, "dice", 0.8)
    results = json.loads((paths[1] / "results.json").read_text())
    changed = "optimizer.lr (0.01 -> 0.001)"
    results["resumes"] = [{"step": 3, "forced": []}, {"step": 5, "forced": [changed]}, {"step": 7, "forced": "odd"}]
    (paths[1] / "results.json").write_text(json.dumps(results))
    found = compare_runs([tmp_path])
    assert f"their settings hold for a part of them: dice2: {changed}" in found.notes[-1]
    runs = json.loads(to_json(found))["groups"][0]["runs"]
    assert {run["run"]: run["forced"] for run in runs} == {"dice1": [], "dice2": [changed], "dice3": []}
    assert "resumed by force: optimizer.lr (0.01 -&gt; 0.001)" in to_html(found)
