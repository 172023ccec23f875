"""When a run reached a score, from its own tables."""

from __future__ import annotations

import json

import pytest

from scripts.time_to_score import main

ROWS = """split,epoch,step,train/loss,val/mean_iou
train,0,5,0.9,
epoch,0,5,0.9,0.3
epoch,1,10,0.8,0.6
epoch,1,10,0.8,0.6
epoch,2,15,0.7,
epoch,3,20,0.6,0.5
"""
RESULTS = {"epochs": 4, "images_trained": 4000, "seconds": 80.0, "cpu_seconds": 40.0}


def some_run(folder, **changes):
    folder.mkdir()
    (folder / "metrics.csv").write_text(ROWS)
    (folder / "results.json").write_text(json.dumps({**RESULTS, **changes}))
    return str(folder)


def test_the_first_epoch_that_reached_it_counts(tmp_path, capsys):
    main(["--score", "val/mean_iou=0.5", some_run(tmp_path / "counted"), some_run(tmp_path / "old", cpu_seconds=None)])
    counted, old = capsys.readouterr().out.splitlines()[2:]
    assert counted == "| counted | val/mean_iou=0.5 | 2,000 | 20 | 40 | 0.600 | 4,000 |"
    assert old == "| old | val/mean_iou=0.5 | 2,000 | - | 40 | 0.600 | 4,000 |"


def test_a_score_that_is_never_reached(tmp_path, capsys):
    main(["--score", "val/mean_iou=0.7", some_run(tmp_path / "run")])
    assert capsys.readouterr().out.splitlines()[2] == "| run | val/mean_iou=0.7 | never | - | - | 0.600 | 4,000 |"


@pytest.mark.parametrize(
    ("score", "said"),
    [("val/mean_iou", "must be name=value"), ("val/mean_iou=x", "got val/mean_iou=x"), ("val/no=1", "with val/no in")],
)
def test_what_cannot_be_asked(tmp_path, capsys, score, said):
    folder = some_run(tmp_path / "run")
    with pytest.raises(SystemExit):
        main(["--score", score, folder])
    assert said in capsys.readouterr().err
