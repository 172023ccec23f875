"""The comparison itself: it sees a single bit, and does not see the clock."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.support import killing


@pytest.fixture
def pair(tmp_path):
    """Two run folders of the same outcome, made at different times."""
    for name, seconds in (("one", 1.0), ("two", 2.0)):
        run = tmp_path / name
        (run / "checkpoints").mkdir(parents=True)
        weights = {"w": torch.tensor([1.0, float("nan")]), "counts": torch.tensor(3)}
        checkpoint = {"state_dict": weights, "callbacks": {"best": float("nan"), "seconds": seconds}}
        torch.save(checkpoint, run / "checkpoints/step-00000004.ckpt")
        (run / "results.json").write_text(json.dumps({"seconds": seconds, "metrics": {"val/loss": {"best": 0.5}}}))
        (run / "metrics.csv").write_text("split,epoch,step,val/loss\nepoch,0,4,0.5\n")
        (run / "val_images.csv").write_text("index,mean_iou\n0,0.25\n")
        (run / "run.log").write_text(f"took {seconds} s")
    shutil.copy(tmp_path / "two/checkpoints/step-00000004.ckpt", tmp_path / "two/checkpoints/step-00000002.ckpt")
    with (tmp_path / "two/metrics.csv").open("a") as file:
        file.write("epoch,0,4,0.5\n")  # written a second time after a kill
    return tmp_path / "one", tmp_path / "two"


def change_a_bit(run):
    path = run / "checkpoints/step-00000004.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["w"][0] = float(np.nextafter(np.float32(1), np.float32(2)))
    torch.save(checkpoint, path)


def change_a_kind(run):
    path = run / "checkpoints/step-00000004.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["counts"] = checkpoint["state_dict"]["counts"].int()
    torch.save(checkpoint, path)


def change_a_score(run):
    (run / "results.json").write_text(json.dumps({"metrics": {"val/loss": {"best": 0.25}}}))


def change_a_row(run):
    with (run / "metrics.csv").open("a") as file:
        file.write("epoch,1,8,0.5\n")


def change_a_picture(run):
    (run / "val_images.csv").write_text("index,mean_iou\n0,0.26\n")


def rename_the_newest(run):
    (run / "checkpoints/step-00000004.ckpt").rename(run / "checkpoints/step-00000005.ckpt")


def test_equal_but_for_the_clock(pair):
    assert list(killing.differences(*pair)) == []


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (change_a_bit, "checkpoints/step-00000004.ckpt[state_dict][w]: tensors differ by up to"),
        (change_a_kind, "checkpoints/step-00000004.ckpt[state_dict][counts]: torch.int64 [] and torch.int32 []"),
        (change_a_score, "results.json[metrics][val/loss][best]: 0.5 and 0.25"),
        (change_a_row, "metrics.csv: 1 and 2 entries"),
        (change_a_picture, "val_images.csv: 22 and 22 bytes"),
        (rename_the_newest, "checkpoints/step-00000004.ckpt: only in the reference"),
    ],
)
def test_every_difference_is_seen(pair, change, seen):
    change(pair[1])
    assert next(killing.differences(*pair)).startswith(seen)
