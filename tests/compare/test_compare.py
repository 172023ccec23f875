"""`compare` over run folders of known numbers: grouping, marks, filters, verdicts, and what it refuses."""

from __future__ import annotations

import datetime
import math
import random

import pytest
import yaml

from segbench.compare.comparison import compare_runs
from segbench.compare.filters import parse_filters
from segbench.compare.groups import choose_measure, group_runs, lower_is_better
from segbench.compare.runs import Run, find_runs
from segbench.compare.settings import differing, flat_yaml, value_text
from segbench.core.errors import ConfigError
from tests.support.fake_runs import mean_iou, some_counts, write_run


def sweep(root, images=60, **recalls):
    """Three seeds for each loss, at the given recall."""
    for loss, recall in recalls.items():
        for seed in (1, 2, 3):
            write_run(root / f"{loss}-{seed}", seed=seed, loss=loss, counts=some_counts(images, recall, seed))
    return root


def test_seeds_are_grouped_and_only_what_differs_is_shown(tmp_path):
    for seed, score in ((1, 0.80), (2, 0.82), (3, 0.84)):
        write_run(tmp_path / f"a{seed}", seed=seed, score=score, lr="0.001")
        write_run(tmp_path / f"b{seed}", seed=seed, score=score - 0.1, lr="0.0003")
    found = compare_runs([tmp_path])
    assert found.columns == ["optimizer.lr"]
    first, second = found.groups
    assert first.settings == {"optimizer.lr": "0.001"} and second.settings == {"optimizer.lr": "0.0003"}
    assert (first.summary.n, first.summary.mean, first.summary.sd) == (3, pytest.approx(0.82), pytest.approx(0.02))
    # pooled over both groups: sd 0.02 with 4 degrees of freedom, the interval symmetrical in the logit
    half = 2.776445 * 0.02 / 3**0.5 / (0.82 * 0.18)
    assert first.summary.high == pytest.approx(1 / (1 + math.exp(-(math.log(0.82 / 0.18) + half))), rel=1e-6)
    assert [run.name for run in first.runs] == ["a3", "a2", "a1"]
    assert (first.best, second.best) == (True, False)


def test_settings_that_a_choice_explains_are_not_shown():
    runs = [
        {"model": "unet", "model._target_": "U", "model.width": "32", "optimizer.lr": "0.1", "seed": "1", "name": "x"},
        {"model": "fcn", "model._target_": "F", "model.kernels": "[4,2]", "optimizer.lr": "0.1", "seed": "2"},
    ]
    assert differing(runs) == ["model"]
    assert differing([*runs, {**runs[0], "model.width": "64"}]) == ["model", "model.width"]
    assert differing([*runs, {**runs[1], "optimizer.lr": "0.2"}]) == ["model", "optimizer.lr"]


@pytest.mark.parametrize("name", ["config.yaml", "status.json", "results.json", "test_images.csv"])
def test_a_folder_in_place_of_a_file_breaks_one_run_alone(tmp_path, name):
    spoilt = sweep(tmp_path, dice=0.8, bce=0.7) / "dice-1"
    (spoilt / name).unlink(missing_ok=True)
    (spoilt / name).mkdir()
    found = compare_runs([tmp_path])
    assert len(found.runs) == 6
    assert sum(group.summary.n for group in found.groups) == (6 if name == "test_images.csv" else 5)


def test_by_joins_all_else_and_says_so(tmp_path):
    for loss in ("dice", "focal"):
        for lr in ("0.001", "0.0003"):
            write_run(tmp_path / f"{loss}-{lr}", loss=loss, lr=lr, score=0.5 + (loss == "dice") * 0.1)
    found = compare_runs([tmp_path], by=["loss"])
    assert [(group.settings, group.summary.n) for group in found.groups] == [
        ({"loss": "dice"}, 2),
        ({"loss": "focal"}, 2),
    ]
    assert any("more than the seed: optimizer.lr" in note for note in found.notes)
    with pytest.raises(ConfigError, match=r"no run has a setting 'optimiser.lr'; did you mean 'optimizer.lr'"):
        compare_runs([tmp_path], by=["optimiser.lr"])


def test_a_repeated_seed_counts_once_and_the_newest_wins(tmp_path):
    write_run(tmp_path / "old", seed=1, score=0.5, finished=10.0)
    write_run(tmp_path / "new", seed=1, score=0.6, finished=20.0)
    (group,) = compare_runs([tmp_path]).groups
    assert (group.summary.n, group.summary.mean, group.summary.sd) == (1, 0.6, None)
    assert [run.name for run in group.repeats] == ["old"]


def test_marks_of_best_and_pareto_front(tmp_path):
    sizes = {"big": (0.9, 100, 9.0), "small": (0.8, 10, 1.0), "bad": (0.7, 50, 0.5)}
    for name, (score, parameters, seconds) in sizes.items():
        write_run(tmp_path / name, model=name, score=score, costs={"parameters": parameters, "seconds": seconds})
    groups = {group.label: group for group in compare_runs([tmp_path]).groups}
    assert groups["model=big"].best and groups["model=big"].fronts == ["parameters", "flops_per_image", "seconds"]
    assert groups["model=small"].fronts == ["parameters", "seconds"]
    assert groups["model=bad"].fronts == ["seconds"]


def test_errors_are_best_where_smallest_and_are_the_metric_where_there_are_no_masks(tmp_path):
    for name, rmse in (("a", 0.5), ("b", 0.2)):
        write_run(tmp_path / name, loss=name, score=None, metrics={"test/depth/rmse": rmse, "val/loss": 1 - rmse})
    found = compare_runs([tmp_path])
    assert found.metric == "test/depth/rmse" and [group.label for group in found.groups] == ["loss=b", "loss=a"]
    assert [g.label for g in compare_runs([tmp_path], metric="val/loss").groups] == ["loss=a", "loss=b"]
    with pytest.raises(ConfigError, match="did you mean 'test/depth/rmse'"):
        compare_runs([tmp_path], metric="test/depth/rsme")


def test_a_class_called_loss_is_no_loss():
    assert lower_is_better("val/loss") and not lower_is_better("val/iou/loss")
    assert lower_is_better("test/depth/abs_rel") and not lower_is_better("test/depth/delta1")


def test_a_metric_that_was_not_measured_comes_last(tmp_path):
    write_run(tmp_path / "a", loss="a", score=None, metrics={"val/loss": 1.0, "test/mean_iou": None})
    write_run(tmp_path / "b", loss="b", score=0.1)
    last = compare_runs([tmp_path]).groups[-1]
    assert (last.label, last.summary.n, last.best, last.fronts) == ("loss=a", 0, False, [])


def test_states_are_shown_as_they_are(tmp_path):
    write_run(tmp_path / "sweeps" / "s" / "000_x", loss="a")
    for state in ("running", "interrupted", "pruned"):
        write_run(tmp_path / state, state=state, loss="b")
    write_run(tmp_path / "failed", state="failed", error="ValueError: no", loss="c")
    found = compare_runs([tmp_path])
    assert [run.name for group in found.groups for run in group.runs] == ["sweeps/s/000_x"]
    assert [(r.name, r.state, r.error) for r in found.others] == [
        ("failed", "failed", "ValueError: no"),
        ("interrupted", "interrupted", ""),
        ("pruned", "pruned", ""),
        ("running", "running", ""),
    ]


def test_links_to_folders_are_not_followed_and_no_run_is_found_twice(tmp_path):
    write_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "a" / "checkpoints").mkdir()
    write_run(tmp_path / "runs" / "a" / "checkpoints" / "inside")
    assert [run.name for run in compare_runs([tmp_path / "runs"]).runs] == ["a"]
    assert len(compare_runs([tmp_path, tmp_path / "runs", tmp_path / "runs" / "a"]).runs) == 1


def test_a_folder_without_runs_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match="there are no runs below"):
        compare_runs([tmp_path])
    with pytest.raises(ConfigError, match="must be a path, got an empty word"):
        compare_runs([""])
    with pytest.raises(ConfigError, match="there is no folder"):
        compare_runs([tmp_path / "nothing"])


def test_filters_are_read():
    seen = [(c.name, c.equal, c.values) for c in parse_filters(["data=fgbg,camvid,seed!=3", "data.size=[32,32]"])]
    assert seen == [("data", True, ("fgbg", "camvid")), ("seed", False, ("3",)), ("data.size", True, ("[32,32]",))]
    with pytest.raises(ConfigError, match="is no condition"):
        parse_filters(["fgbg"])


def test_filters_choose_runs(tmp_path):
    for loss in ("dice", "focal"):
        for lr in ("0.001", "0.0003"):
            write_run(tmp_path / f"{loss}-{lr}", loss=loss, lr=lr)
    (tmp_path / "focal-0.001" / "results.json").unlink()

    def names(*filters):
        return sorted(run.name for run in compare_runs([tmp_path], filters=filters).runs if run.state != "broken")

    assert names("loss=dice") == ["dice-0.0003", "dice-0.001"]
    assert names("optimizer.lr=1e-3") == ["dice-0.001"]
    assert names("loss!=dice") == ["focal-0.0003"]
    assert names("loss=dice,focal,optimizer.lr!=3e-4") == ["dice-0.001"]
    assert len(compare_runs([tmp_path], filters=["loss=dice"]).others) == 1  # nobody knows what the broken one was
    assert compare_runs([tmp_path], filters=["state=completed"]).others == []
    with pytest.raises(ConfigError, match="no run has a setting 'los'; did you mean 'loss'"):
        names("los=dice")
    with pytest.raises(ConfigError, match="leaves no readable run of 4"):
        names("loss=jaccard")


def test_a_clear_difference_is_called_worse_with_its_interval(tmp_path):
    found = compare_runs([sweep(tmp_path, dice=0.80, focal=0.70)])
    (verdict,) = found.verdicts
    means = [sum(mean_iou(some_counts(60, r, s).sum(axis=0)) for s in (1, 2, 3)) / 3 for r in (0.80, 0.70)]
    assert (verdict.word, verdict.images, verdict.seeds) == ("worse", "60 images taken as independent", (3, 3))
    assert verdict.difference.value == pytest.approx(means[1] - means[0])
    assert verdict.difference.low < verdict.difference.value < verdict.difference.high < 0
    assert verdict.sentence.startswith("loss=focal is worse than loss=dice: -0.0")
    assert verdict.sentence.endswith("(60 images taken as independent, 3 seeds each)")


def test_a_difference_of_chance_may_be_as_good(tmp_path):
    (verdict,) = compare_runs([sweep(tmp_path, dice=0.70, focal=0.7002)]).verdicts
    assert verdict.word == "may be as good" and "loss=dice may be as good as loss=focal: -0.000" in verdict.sentence


def test_every_group_is_judged_against_the_baseline(tmp_path):
    sweep(tmp_path, dice=0.70, focal=0.80, lovasz=0.60)
    found = compare_runs([tmp_path], baseline="dice-2")
    assert {(v.first.label, v.word) for v in found.verdicts} == {("loss=focal", "better"), ("loss=lovasz", "worse")}
    assert all(verdict.second.label == "loss=dice" and verdict.second.baseline for verdict in found.verdicts)
    by_path = compare_runs([tmp_path], baseline=str(tmp_path / "dice-2"), filters=["loss!=dice"])
    assert len(by_path.verdicts) == 2 and by_path.verdicts[0].seeds == (3, 1)
    with pytest.raises(ConfigError, match="there is no run 'dice2'; did you mean 'dice-2'"):
        compare_runs([tmp_path], baseline="dice2")


def test_a_running_baseline_is_refused(tmp_path):
    write_run(tmp_path / "a", state="running")
    write_run(tmp_path / "b")
    with pytest.raises(ConfigError, match="a is running; only a completed run"):
        compare_runs([tmp_path], baseline="a")


def test_different_data_are_not_judged_and_the_table_says_so(tmp_path):
    write_run(tmp_path / "a", loss="a", counts=some_counts(40, 0.8, 1), fingerprint="aaaa")
    write_run(tmp_path / "b", loss="b", counts=some_counts(40, 0.7, 1), fingerprint="bbbb")
    found = compare_runs([tmp_path])
    assert found.verdicts == [] and all(group.best for group in found.groups)
    assert [found.data_labels[group.data] for group in found.groups] == ["A", "B"]
    assert any("numbers of different test data stand side by side" in note for note in found.notes)
    (verdict,) = compare_runs([tmp_path], baseline="a").verdicts
    assert (verdict.word, verdict.difference) == ("not comparable", None)
    assert "different test data (fingerprints bbbb and aaaa)" in verdict.sentence


REFUSED = {
    "different images": ({"counts": some_counts(40, 0.7, 1), "index": range(5, 45)}, "40 and 40, 35 in both"),
    "no table": ({"score": 0.3}, "test_images.csv is missing"),
    "other classes": ({"counts": some_counts(40, 0.7, 1), "classes": ("x", "y")}, "different classes"),
    "no fingerprint": ({"counts": some_counts(40, 0.7, 1), "fingerprint": None}, "do not say which"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pairs_that_do_not_fit_are_refused(tmp_path, name):
    words, reason = REFUSED[name]
    write_run(tmp_path / "a", loss="a", counts=some_counts(40, 0.8, 1))
    write_run(tmp_path / "b", loss="b", **words)
    (verdict,) = compare_runs([tmp_path], baseline="a").verdicts
    assert verdict.word == "not comparable" and reason in verdict.reason


def test_a_table_of_images_that_does_not_give_the_score_is_refused(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name, loss=name, counts=some_counts(40, 0.8, 1))
    table = tmp_path / "b" / "test_images.csv"
    table.write_text(table.read_text().replace("\n7,0007.png,0.5,", "\n7,0007.png,0.5,1"))
    (verdict,) = compare_runs([tmp_path]).verdicts
    assert "b: test_images.csv adds up to" in verdict.reason and "results.json says" in verdict.reason


def test_depth_is_judged_by_its_error(tmp_path):
    for name, error, seed in (("a", 4.0, 1), ("a", 4.0, 2), ("a", 4.0, 3), ("b", 9.0, 1), ("b", 9.0, 2), ("b", 9.0, 3)):
        path = write_run(
            tmp_path / f"{name}{seed}", loss=name, seed=seed, score=None, metrics={"test/depth/rmse": error**0.5}
        )
        rows = [f"{k},{error * 100 * (1 + (k % 2) / 10 - 0.05):.9g},100" for k in range(30)]
        (path / "test_images.csv").write_text("\n".join(["index,depth/squared_error,depth/pixels", *rows]) + "\n")
    (verdict,) = compare_runs([tmp_path]).verdicts
    assert (verdict.word, verdict.difference.value) == ("worse", pytest.approx(1.0))
    assert verdict.difference.low > 0


def test_one_seed_each_is_said(tmp_path):
    for name, recall in (("a", 0.8), ("b", 0.7)):
        write_run(tmp_path / name, loss=name, counts=some_counts(40, recall, 1))
    (verdict,) = compare_runs([tmp_path]).verdicts
    assert (verdict.word, verdict.difference.low, verdict.difference.high) == ("too few seeds", None, None)
    assert "too few seeds: 0 of the 4 repeats that a word needs; 4 more runs in all" in verdict.sentence


def test_a_word_is_read_as_any_reader_of_yaml_reads_it():
    draw = random.Random(0)
    words = ["null", "True", "yes", "off", "12_34", "0x1f", "1e3", "2026-11-28", "00001_unet-dice", "a/b", "x-", "no"]
    letters = "0123456789abcdefghijklnostuxyTZ_-/.~EO"
    words += ["".join(draw.choice(letters) for _ in range(draw.randint(1, 6))) for _ in range(5000)]
    for word in words:
        try:
            plain = yaml.safe_load(f"name: {word}\n")["name"]
        except (yaml.YAMLError, ValueError):  # a date without such a day
            continue
        if not isinstance(plain, datetime.date):
            assert flat_yaml(f"name: {word}\n") == {"name": value_text(plain)}, word


def test_many_runs_of_one_group_are_not_compared_with_each_other(tmp_path, monkeypatch):
    for number in range(40):
        write_run(tmp_path / f"{number:02d}", seed=number % 20, finished=float(number))
    runs = find_runs([tmp_path])
    compared = []
    monkeypatch.setattr(Run, "__eq__", lambda one, other: compared.append(1) or one is other)
    monkeypatch.setattr(Run, "__hash__", object.__hash__)
    (group,) = group_runs(runs, choose_measure(runs, None), shown=[], by=["loss"])
    assert [run.name for run in group.repeats] == [f"{number:02d}" for number in range(20)] and len(group.runs) == 20
    assert len(compared) == 0  # a set, not a list: `--by data` of 20,000 runs compared each with all
